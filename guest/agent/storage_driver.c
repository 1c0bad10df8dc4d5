/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage_driver.h"

#include "agent/container/mount_options.h"
#include "agent/huge_pages.h"
#include "agent/storage.h"
#include "base/path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static struct error *make_mount_point(const Grpc__Storage *storage)
{
    return error_wrap(directory_create_all(storage->mount_point, 0755), "making the mount point");
}

/* mount(2) takes one page of text and would cut the rest off without a word. */
#define MOUNT_DATA_MAX 4095

static struct error *parse_options(const Grpc__Storage *storage, struct mount_options *ret_options)
{
    _cleanup_mount_options_ struct mount_options options = {0};
    TRY(mount_options_parse(storage->options, storage->n_options, &options));
    if (options.data && strlen(options.data) > MOUNT_DATA_MAX)
        return error_new(ERROR_INVALID_ARGUMENT,
            "the mount options of %s are longer than the %d bytes that the kernel takes",
            storage->mount_point, MOUNT_DATA_MAX);
    *ret_options = options;
    options.data = NULL;
    return NULL;
}

const char *storage_option(const Grpc__Storage *storage, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < storage->n_options; i++) {
        const char *option = storage->options[i];
        if (strncmp(option, name, length) == 0 && option[length] == '=')
            return option + length + 1;
    }
    return NULL;
}

/* Mounts with the options of the storage; the directory exists. */
static struct error *mount_plain(const Grpc__Storage *storage, const char *source, const char *type)
{
    _cleanup_mount_options_ struct mount_options options = {0};
    TRY(parse_options(storage, &options));
    if (mount(source, storage->mount_point, type, options.flags, options.data) == 0)
        return NULL;
    return error_errno(errno, "mounting %s (%s) on %s", source, type, storage->mount_point);
}

static struct error *mount_device(const Grpc__Storage *storage, const char *source)
{
    TRY(make_mount_point(storage));
    return mount_plain(storage, source, storage->fstype);
}

static struct error *mount_virtiofs(const Grpc__Storage *storage, const char *source)
{
    TRY(make_mount_point(storage));
    return mount_plain(storage, source, "virtiofs");
}

/* As the kubelet prepares a volume for a pod with fsGroup: the group owns it and new files inherit it. */
static struct error *give_to_group(const Grpc__Storage *storage)
{
    if (!storage->fs_group)
        return NULL;
    if (chown(storage->mount_point, (uid_t)-1, storage->fs_group->group_id) < 0 ||
        chmod(storage->mount_point, 02775) < 0)
        return error_errno(
            errno, "giving %s to the group %u", storage->mount_point, storage->fs_group->group_id);
    return NULL;
}

static struct error *set_huge_pages_aside(const Grpc__Storage *storage)
{
    const char *page_size = storage_option(storage, "pagesize"), *size = storage_option(storage, "size");
    if (!page_size || !size)
        return error_new(
            ERROR_INVALID_ARGUMENT, "huge pages at %s: without pagesize= and size=", storage->mount_point);
    return huge_pages_add(HUGE_PAGES_DIRECTORY, page_size, size);
}

static struct error *mount_ephemeral(const Grpc__Storage *storage, const char *source)
{
    bool huge = strcmp(storage->fstype, "hugetlbfs") == 0;
    TRY(make_mount_point(storage));
    if (huge)
        TRY(set_huge_pages_aside(storage));
    TRY(mount_plain(storage, source, huge ? "hugetlbfs" : "tmpfs"));
    return give_to_group(storage);
}

static struct error *make_option_directory(const Grpc__Storage *storage, const char *option)
{
    const char *path = storage_option(storage, option);
    return path ? error_wrap(directory_create_all(path, 0755), "making the overlay's %s", option) : NULL;
}

static struct error *mount_overlay(const Grpc__Storage *storage, const char *source)
{
    TRY(make_mount_point(storage));
    TRY(make_option_directory(storage, "upperdir"));
    TRY(make_option_directory(storage, "workdir"));
    return mount_plain(storage, source, "overlay");
}

static struct error *make_local(const Grpc__Storage *storage, const char *source)
{
    TRY(make_mount_point(storage));
    const char *mode = storage_option(storage, "mode");
    if (mode && chmod(storage->mount_point, (mode_t)strtoul(mode, NULL, 8) & 07777) < 0)
        return error_errno(errno, "setting the mode of %s", storage->mount_point);
    return give_to_group(storage);
}

/* A mount point of the source's kind. */
static struct error *make_bind_target(const Grpc__Storage *storage)
{
    struct stat status;
    if (stat(storage->source, &status) < 0)
        return error_errno(errno, "%s", storage->source);
    if (S_ISDIR(status.st_mode))
        return make_mount_point(storage);
    _cleanup_free_ char *parent = must_copy(storage->mount_point);
    *strrchr(parent, '/') = '\0';
    TRY(directory_create_all(parent, 0755));
    _cleanup_fd_ int fd = open(storage->mount_point, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    return fd < 0 ? error_errno(errno, "%s", storage->mount_point) : NULL;
}

/* The flags of a bind mount take effect only when it is mounted again. */
static struct error *mount_bind(const Grpc__Storage *storage, const char *source)
{
    _cleanup_mount_options_ struct mount_options options = {0};
    TRY(parse_options(storage, &options));
    TRY(make_bind_target(storage));
    const char *target = storage->mount_point;
    if (mount(storage->source, target, NULL, MS_BIND | (options.flags & MS_REC), NULL) < 0)
        return error_errno(errno, "binding %s to %s", storage->source, target);
    unsigned long extra = options.flags & ~(unsigned long)(MS_BIND | MS_REC);
    if (extra == 0 || mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | extra, NULL) == 0)
        return NULL;
    struct error *error = error_errno(errno, "setting the mount options of %s", target);
    umount2(target, MNT_DETACH);
    return error;
}

struct error *storage_driver_remount(const Grpc__Storage *storage)
{
    _cleanup_mount_options_ struct mount_options options = {0};
    TRY(parse_options(storage, &options));
    if (mount(NULL, storage->mount_point, NULL, MS_REMOUNT | options.flags, options.data) < 0)
        return error_errno(errno, "mounting %s again", storage->mount_point);
    return NULL;
}

static const struct storage_driver drivers[] = {
    {"mmioblk", true, true, mount_device},
    {"blk", true, true, mount_device},
    {"scsi", true, true, mount_device},
    {"ephemeral", false, true, mount_ephemeral},
    {"overlayfs", false, true, mount_overlay},
    {"virtio-fs", false, true, mount_virtiofs},
    {"local", false, false, make_local},
    {"bind", false, true, mount_bind},
    {"host-socket", false, false, NULL},
};

struct error *storage_driver_find(const char *name, const struct storage_driver **ret_driver)
{
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
        if (strcmp(drivers[i].name, name) == 0) {
            *ret_driver = &drivers[i];
            return NULL;
        }
    }
    return error_new(ERROR_UNIMPLEMENTED, "this agent has no storage driver %s", name);
}

void storage_driver_names(const char *ret_names[STORAGE_DRIVER_COUNT])
{
    _Static_assert(ARRAY_SIZE(drivers) == STORAGE_DRIVER_COUNT, "the header tells how many there are");
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
        ret_names[i] = drivers[i].name;
}
