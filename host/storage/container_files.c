/* SPDX-License-Identifier: Apache-2.0 */
/* Files with file systems in them that a snapshotter has made when they are first used: "mkfs/ext4"
   (containerd's docs/mounts.md). */
#include "storage/model.h"

#include "base/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define SIZE_OPTION "X-containerd.mkfs.size="
#define TYPE_OPTION "X-containerd.mkfs.fs="

/* "134217728", "128MiB", "1G": units are powers of 1024, as containerd has them. */
static bool parse_size(const char *text, uint64_t *ret_size)
{
    static const char units[] = "BKMGT";
    char unit = 'B', rest[4] = "";
    uint64_t size = 0;
    if (text[0] < '0' || text[0] > '9' || sscanf(text, "%16" SCNu64 "%c%3s", &size, &unit, rest) < 1)
        return false;
    const char *place = strchr(units, unit & ~0x20);
    if (!place || (*rest && strcasecmp(rest, "B") != 0 && strcasecmp(rest, "iB") != 0))
        return false;
    unsigned shift = 10 * (unsigned)(place - units);
    if (size == 0 || size > UINT64_MAX >> shift)
        return false;
    *ret_size = size << shift;
    return true;
}

/* A missing file comes to be here, empty; it gets its file system before anybody mounts it. */
static struct error *make_file(struct container_storage *container, const struct storage_source *source)
{
    const char *size_text = mount_option_value(source, SIZE_OPTION);
    const char *type = mount_option_value(source, TYPE_OPTION);
    uint64_t size = 0;
    if (container->format_path)
        return error_new(ERROR_UNIMPLEMENTED, "a root file system of two new file systems");
    if (!size_text || !parse_size(size_text, &size))
        return error_new(ERROR_INVALID_ARGUMENT, "%s is to be made, of size \"%s\"", source->source,
            size_text ? size_text : "");
    if (strcmp(mount_type(source->type), "ext4") != 0 || (type && strcmp(type, "ext4") != 0))
        return error_new(ERROR_UNIMPLEMENTED, "making a file system of type %s (ext4 can be made)",
            type ? type : mount_type(source->type));
    _cleanup_fd_ int fd = open(source->source, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return error_errno(errno, "making %s", source->source);
    container->format_path = must_copy(source->source);
    if (ftruncate(fd, (off_t)size) < 0)
        return error_errno(errno, "making %s", source->source);
    container->format_fd = TAKE_FD(fd);
    return NULL;
}

struct error *container_make_files(
    struct container_storage *container, const struct storage_source *sources, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (mount_type_has(sources[i].type, "mkfs") && access(sources[i].source, F_OK) < 0)
            TRY(make_file(container, &sources[i]));
    return NULL;
}

void container_forget_files(struct container_storage *container)
{
    close_fd(TAKE_FD(container->format_fd));
    if (container->format_path)
        unlink(container->format_path);
    free(TAKE_PTR(container->format_path));
}
