/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/device_path.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* SAM-5: targets and units have at most 14 bits in the single-level forms that virtio-scsi uses. */
#define SCSI_NUMBER_MAX 16383

static bool is_scsi(const char *driver)
{
    return strcmp(driver, "scsi") == 0;
}

static bool parse_scsi(const char *source, unsigned *ret_target, unsigned *ret_unit)
{
    int length = 0;
    return sscanf(source, "%5u:%5u%n", ret_target, ret_unit, &length) == 2 && source[length] == '\0' &&
           *ret_target <= SCSI_NUMBER_MAX && *ret_unit <= SCSI_NUMBER_MAX;
}

struct error *device_path_check(const char *driver, const char *source)
{
    unsigned target, unit;
    if (is_scsi(driver) && !parse_scsi(source, &target, &unit))
        return error_new(ERROR_INVALID_ARGUMENT, "\"%.256s\" is not the address of a SCSI disk", source);
    if (!is_scsi(driver) && (strncmp(source, "/dev/", 5) != 0 || strstr(source, "..")))
        return error_new(ERROR_INVALID_ARGUMENT, "\"%.256s\" is not the path of a device", source);
    return NULL;
}

/* sysfs has one directory below "block", which is named as the disk. */
static char *scsi_path(unsigned target, unsigned unit)
{
    char block[80];
    snprintf(block, sizeof(block), "/sys/bus/scsi/devices/0:0:%u:%u/block", target, unit);
    _cleanup_dir_ DIR *directory = opendir(block);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (entry->d_name[0] != '.')
            return must_printf("/dev/%s", entry->d_name);
    }
    return NULL;
}

/* The kernel names a SCSI disk before it can be opened, and tells of it by an event when it can. */
static bool is_ready(const char *driver, const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return false;
    if (!is_scsi(driver) || !S_ISBLK(status.st_mode))
        return true;
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 || errno != ENXIO;
}

char *device_path(const char *driver, const char *source)
{
    unsigned target, unit;
    _cleanup_free_ char *path = NULL;
    if (!is_scsi(driver))
        path = must_copy(source);
    else if (parse_scsi(source, &target, &unit))
        path = scsi_path(target, unit);
    return path && is_ready(driver, path) ? TAKE_PTR(path) : NULL;
}
