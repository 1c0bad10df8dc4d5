/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/rootfs.h"

#include "agent/container/container.h"
#include "agent/container/device.h"
#include "agent/container/mount.h"
#include "agent/container/rootfs_path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

struct error *container_leave_initramfs(void)
{
    static const char *const anchor = "/.root";
    if (mkdir(anchor, 0700) < 0 && errno != EEXIST)
        return error_errno(errno, "making %s", anchor);
    if (mount("/", anchor, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(anchor) < 0 ||
        mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return error_errno(errno, "moving the root of the initramfs");
    rmdir(anchor);
    return NULL;
}

static struct error *propagation_of(const char *name, unsigned long *ret_flags)
{
    static const struct {
        const char *name;
        unsigned long flags;
    } names[] = {
        {"", MS_SLAVE | MS_REC},
        {"private", MS_PRIVATE},
        {"rprivate", MS_PRIVATE | MS_REC},
        {"shared", MS_SHARED},
        {"rshared", MS_SHARED | MS_REC},
        {"slave", MS_SLAVE},
        {"rslave", MS_SLAVE | MS_REC},
        {"unbindable", MS_UNBINDABLE},
        {"runbindable", MS_UNBINDABLE | MS_REC},
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(names[i].name, name) == 0) {
            *ret_flags = names[i].flags;
            return NULL;
        }
    return error_new(ERROR_INVALID_ARGUMENT, "\"%s\" is no propagation for a root file system", name);
}

/* pivot_root refuses a root below a shared mount. The mount that the path is in is found by trying. */
static struct error *make_parent_private(const char *path)
{
    _cleanup_free_ char *parent = must_copy(path);
    for (;;) {
        if (mount(NULL, parent, NULL, MS_PRIVATE, NULL) == 0)
            return NULL;
        char *slash = strrchr(parent, '/');
        if (errno != EINVAL || !slash || strcmp(parent, "/") == 0)
            return error_errno(errno, "making the mount below \"%s\" private", path);
        slash[slash == parent ? 1 : 0] = '\0';
    }
}

struct error *rootfs_enter_namespace(const Grpc__Spec *spec, int *ret_root)
{
    const char *path = spec->root->path;
    unsigned long propagation = 0;
    TRY(propagation_of(spec->linux_config->rootfs_propagation, &propagation));
    if (mount(NULL, "/", NULL, propagation, NULL) < 0)
        return error_errno(errno, "setting the propagation of the root");
    TRY(make_parent_private(path));
    if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0)
        return error_errno(errno, "binding the root file system \"%s\"", path);
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_errno(errno, "opening the root file system \"%s\"", path);
    *ret_root = root;
    return NULL;
}

struct error *rootfs_fill(const Grpc__Spec *spec, const char *bundle, int root, bool user_namespace)
{
    struct mount_world world = {.root = root, .bundle = bundle, .user_namespace = user_namespace};
    for (size_t i = 0; i < spec->n_mounts; i++)
        TRY(mount_make(&world, spec->mounts[i]));
    TRY(device_make_all(root, spec, user_namespace));
    _cleanup_fd_ int cwd = -1;
    struct error *error = rootfs_make_directory(root, spec->process->cwd, &cwd);
    return error_wrap(error, "making the working directory");
}

struct error *rootfs_pivot(int root)
{
    _cleanup_fd_ int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (old < 0 || fchdir(root) < 0)
        return error_errno(errno, "entering the root file system");
    /* The old root ends up mounted on top of the new one, and is taken off from there. */
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return error_errno(errno, "pivot_root");
    if (fchdir(old) < 0 || mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0 ||
        umount2(".", MNT_DETACH) < 0)
        return error_errno(errno, "unmounting the guest's root");
    if (chdir("/") < 0)
        return error_errno(errno, "entering the new root");
    return NULL;
}

static bool is_missing(int errnum)
{
    return errnum == ENOENT || errnum == ENOTDIR;
}

static struct error *make_path_read_only(const char *path)
{
    _cleanup_fd_ int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0)
        return is_missing(errno) ? NULL : error_errno(errno, "making \"%s\" read-only", path);
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    if (mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0 ||
        move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) < 0)
        return error_errno(errno, "making \"%s\" read-only", path);
    return NULL;
}

/* Masks would reveal what they are to hide if an image or mount put something else at /dev/null. */
static struct error *check_null_device(void)
{
    struct stat status;
    if (lstat("/dev/null", &status) < 0)
        return error_errno(errno, "/dev/null, which covers masked files");
    if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(1, 3))
        return error_new(
            ERROR_FAILED_PRECONDITION, "/dev/null is not the null device, so it cannot cover masked files");
    return NULL;
}

static struct error *mask_path(const char *path)
{
    if (mount("/dev/null", path, NULL, MS_BIND, NULL) == 0 || errno == ENOENT)
        return NULL;
    if (errno == ENOTDIR && mount("tmpfs", path, "tmpfs", MS_RDONLY, NULL) == 0)
        return NULL;
    /* Also said where a component of the path is no directory: then there is nothing to hide. */
    return is_missing(errno) ? NULL : error_errno(errno, "masking \"%s\"", path);
}

static struct error *mask_paths(const Grpc__Linux *linux_config)
{
    if (linux_config->n_masked_paths)
        TRY(check_null_device());
    for (size_t i = 0; i < linux_config->n_masked_paths; i++)
        TRY(mask_path(linux_config->masked_paths[i]));
    return NULL;
}

struct error *rootfs_seal(const Grpc__Spec *spec)
{
    for (size_t i = 0; i < spec->n_mounts; i++)
        TRY(mount_make_read_only(spec->mounts[i]));
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    if (spec->root->readonly && mount_setattr(AT_FDCWD, "/", 0, &attributes, sizeof(attributes)) < 0)
        return error_errno(errno, "making the root file system read-only");
    for (size_t i = 0; i < spec->linux_config->n_readonly_paths; i++)
        TRY(make_path_read_only(spec->linux_config->readonly_paths[i]));
    return mask_paths(spec->linux_config);
}
