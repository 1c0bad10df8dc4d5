/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File systems are mounted with mount(2), which takes their options as text, onto /proc/self/fd/N of a mount
 * point that was resolved inside the root. Bind mounts are made apart (open_tree), get their attributes
 * there, and are then put in place whole.
 */
#include "agent/container/mount.h"

#include "agent/container/copy_up.h"
#include "agent/container/mount_options.h"
#include "agent/container/rootfs_path.h"
#include "base/path.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define FD_PATH_SIZE 32

static const char *fd_path(int fd, char buffer[FD_PATH_SIZE])
{
    snprintf(buffer, FD_PATH_SIZE, "/proc/self/fd/%d", fd);
    return buffer;
}

static struct error *set_attributes(int fd, unsigned int flags, uint64_t set, uint64_t clear)
{
    struct mount_attr attributes = {.attr_set = set, .attr_clr = clear};
    if (mount_setattr(fd, "", AT_EMPTY_PATH | flags, &attributes, sizeof(attributes)) < 0)
        return error_errno(errno, "setting mount options");
    return NULL;
}

/* The propagation and the recursive options, of a mount that `fd` is the root of. */
static struct error *apply_late_options(int fd, const struct mount_options *options)
{
    for (size_t i = 0; i < options->propagation_count; i++) {
        struct mount_attr attributes = {.propagation = options->propagation[i] & ~(unsigned long)MS_REC};
        unsigned int recursive = options->propagation[i] & MS_REC ? AT_RECURSIVE : 0;
        if (mount_setattr(fd, "", AT_EMPTY_PATH | recursive, &attributes, sizeof(attributes)) < 0)
            return error_errno(errno, "setting the propagation");
    }
    if (options->recursive_set | options->recursive_clear)
        return set_attributes(fd, AT_RECURSIVE, options->recursive_set, options->recursive_clear);
    return NULL;
}

static struct error *put_in_place(int tree, int target)
{
    if (move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return error_errno(errno, "putting the mount in place");
    return NULL;
}

static struct error *make_target_like(
    const struct mount_world *world, int source, const char *path, int *ret_target)
{
    struct stat status;
    if (fstat(source, &status) < 0)
        return error_errno(errno, "reading the source");
    return S_ISDIR(status.st_mode) ? rootfs_make_directory(world->root, path, ret_target)
                                   : rootfs_make_file(world->root, path, ret_target);
}

static struct error *clone_tree(const char *path, bool recursive, int *ret_tree)
{
    unsigned int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
    int tree = open_tree(AT_FDCWD, path, flags);
    if (tree < 0)
        return error_errno(errno, "%s", path);
    *ret_tree = tree;
    return NULL;
}

static struct error *bind_mount(const struct mount_world *world, const char *source, const char *destination,
    const struct mount_options *options)
{
    _cleanup_free_ char *path =
        source[0] == '/' ? must_copy(source) : must_printf("%s/%s", world->bundle, source);
    _cleanup_fd_ int tree = -1;
    TRY(clone_tree(path, options->flags & MS_REC, &tree));
    _cleanup_fd_ int target = -1;
    TRY(make_target_like(world, tree, destination, &target));
    uint64_t set = 0;
    uint64_t clear = 0;
    mount_options_attributes(options, &set, &clear);
    /* A bare "rw" keeps what the source's own mount says, as a bind mount does. */
    if (set)
        TRY(set_attributes(tree, 0, set, clear));
    TRY(put_in_place(tree, target));
    return apply_late_options(tree, options);
}

static struct error *mount_at(
    const Grpc__Mount *mount_entry, const char *type, unsigned long flags, const char *data, int target)
{
    char path[FD_PATH_SIZE];
    const char *source = *mount_entry->source ? mount_entry->source : type;
    if (mount(source, fd_path(target, path), type, flags, data) < 0)
        return error_errno(errno, "mounting a %s", type);
    return NULL;
}

/* A tmpfs over a directory of the image keeps that directory's mode, where no option says otherwise. */
static struct error *mount_tmpfs(
    const struct mount_world *world, const Grpc__Mount *entry, const struct mount_options *options)
{
    _cleanup_fd_ int target = -1;
    struct error *missing = rootfs_open(world->root, entry->destination, &target);
    bool existed = !missing;
    error_free(missing);
    if (!existed)
        TRY(rootfs_make_directory(world->root, entry->destination, &target));
    struct stat status;
    if (fstat(target, &status) < 0)
        return error_errno(errno, "reading the mount point");
    _cleanup_free_ char *data = must_printf("mode=%04o%s%s", existed ? status.st_mode & 07777 : 0755,
        options->data ? "," : "", options->data ? options->data : "");
    TRY(mount_at(entry, "tmpfs", options->flags & ~(unsigned long)MS_RDONLY, data, target));
    if (!options->copy_up || !existed)
        return NULL;
    _cleanup_fd_ int mounted = -1;
    TRY(rootfs_open(world->root, entry->destination, &mounted));
    return error_wrap(copy_up(target, mounted), "copying what the tmpfs covers");
}

/* Where links in an image could lead a /proc astray, what later reads it would be fooled. */
static struct error *refuse_link(const struct mount_world *world, const char *destination)
{
    struct stat status;
    const char *relative = destination + strspn(destination, "/");
    if (fstatat(world->root, relative, &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(status.st_mode))
        return error_new(ERROR_INVALID_ARGUMENT, "%s in the image is not an ordinary directory", destination);
    return NULL;
}

/* What only the owner of another namespace may mount is bound instead, as it is in the guest. */
static struct error *mount_kernel_view(const struct mount_world *world, const Grpc__Mount *entry,
    const struct mount_options *options, const char *type, const char *guests_own)
{
    _cleanup_fd_ int target = -1;
    TRY(rootfs_make_directory(world->root, entry->destination, &target));
    struct error *error = mount_at(entry, type, options->flags, options->data, target);
    int reason = error_number(error);
    if (!error || !world->user_namespace || (reason != EPERM && reason != EBUSY))
        return error;
    error_free(error);
    struct mount_options bound = {.flags = options->flags | MS_REC};
    return bind_mount(world, guests_own, entry->destination, &bound);
}

static struct error *mount_other(
    const struct mount_world *world, const Grpc__Mount *entry, const struct mount_options *options)
{
    _cleanup_fd_ int target = -1;
    TRY(rootfs_make_directory(world->root, entry->destination, &target));
    unsigned long delayed = strcmp(entry->destination, "/dev") == 0 ? MS_RDONLY : 0;
    return mount_at(entry, entry->type, options->flags & ~delayed, options->data, target);
}

static struct error *remount(
    const struct mount_world *world, const Grpc__Mount *entry, const struct mount_options *options)
{
    _cleanup_fd_ int target = -1;
    TRY(rootfs_open(world->root, entry->destination, &target));
    char path[FD_PATH_SIZE];
    if (mount(NULL, fd_path(target, path), NULL, options->flags, options->data) < 0)
        return error_errno(errno, "remounting");
    return NULL;
}

static struct error *mount_file_system(
    const struct mount_world *world, const Grpc__Mount *entry, const struct mount_options *options)
{
    if (strcmp(entry->type, "proc") == 0 || strcmp(entry->type, "sysfs") == 0)
        TRY(refuse_link(world, entry->destination));
    if (strcmp(entry->type, "sysfs") == 0)
        return mount_kernel_view(world, entry, options, "sysfs", "/sys");
    if (strncmp(entry->type, "cgroup", strlen("cgroup")) == 0)
        return mount_kernel_view(world, entry, options, "cgroup2", "/sys/fs/cgroup");
    if (strcmp(entry->type, "tmpfs") == 0)
        return mount_tmpfs(world, entry, options);
    return mount_other(world, entry, options);
}

static struct error *make(const struct mount_world *world, const Grpc__Mount *entry)
{
    _cleanup_mount_options_ struct mount_options options = {0};
    TRY(mount_options_parse(entry->options, entry->n_options, &options));
    if (options.flags & MS_REMOUNT)
        return remount(world, entry, &options);
    if (options.flags & MS_BIND || strcmp(entry->type, "bind") == 0)
        return bind_mount(world, entry->source, entry->destination, &options);
    TRY(mount_file_system(world, entry, &options));
    if (options.propagation_count == 0 && !(options.recursive_set | options.recursive_clear))
        return NULL;
    _cleanup_fd_ int mounted = -1;
    TRY(rootfs_open(world->root, entry->destination, &mounted));
    return apply_late_options(mounted, &options);
}

struct error *mount_make(const struct mount_world *world, const Grpc__Mount *entry)
{
    return error_wrap(make(world, entry), "mounting \"%s\" at \"%s\"",
        *entry->source ? entry->source : entry->type, entry->destination);
}

struct error *mount_make_read_only(const Grpc__Mount *entry)
{
    bool delayed = strcmp(entry->type, "tmpfs") == 0 || strcmp(entry->destination, "/dev") == 0;
    if (!delayed)
        return NULL;
    _cleanup_mount_options_ struct mount_options options = {0};
    TRY(mount_options_parse(entry->options, entry->n_options, &options));
    if (!(options.flags & MS_RDONLY) || options.flags & MS_BIND)
        return NULL;
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    if (mount_setattr(AT_FDCWD, entry->destination, 0, &attributes, sizeof(attributes)) < 0)
        return error_errno(errno, "making \"%s\" read-only", entry->destination);
    return NULL;
}
