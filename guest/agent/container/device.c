/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/device.h"

#include "agent/container/mount_options.h"
#include "agent/container/rootfs_path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#default-devices */
static const struct default_device {
    const char *name;
    unsigned int minor;
    unsigned int major;
} default_devices[] = {
    {"null", 3, 1}, {"zero", 5, 1}, {"full", 7, 1}, {"random", 8, 1}, {"urandom", 9, 1}, {"tty", 0, 5}};

static const struct {
    const char *name;
    const char *target;
} links[] = {
    {"ptmx", "pts/ptmx"},
    {"fd", "/proc/self/fd"},
    {"stdin", "/proc/self/fd/0"},
    {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"},
};

struct node {
    const char *path; /* for sentences, and the guest's own one for binding */
    mode_t mode;      /* with the type */
    dev_t number;
    uid_t uid;
    gid_t gid;
};

static struct error *bind_node(int directory, const char *name, const struct node *node)
{
    _cleanup_fd_ int tree = open_tree(AT_FDCWD, node->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0)
        return error_errno(errno, "the guest's %s", node->path);
    _cleanup_fd_ int target =
        openat(directory, name, O_CREAT | O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
    if (target < 0)
        return error_errno(errno, "making %s", node->path);
    if (move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return error_errno(errno, "binding %s", node->path);
    return NULL;
}

static struct error *make_node(int directory, const char *name, const struct node *node)
{
    if (mknodat(directory, name, node->mode, node->number) < 0)
        return errno == EEXIST ? NULL : error_errno(errno, "making the device %s", node->path);
    if ((node->uid || node->gid) && fchownat(directory, name, node->uid, node->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(errno, "giving the device %s to its owner", node->path);
    return NULL;
}

static bool spec_has_device(const Grpc__Linux *linux_config, const char *name)
{
    for (size_t i = 0; i < linux_config->n_devices; i++) {
        const char *path = linux_config->devices[i]->path;
        if (strncmp(path, "/dev/", 5) == 0 && strcmp(path + 5, name) == 0)
            return true;
    }
    return false;
}

static struct error *make_default_devices(int directory, const Grpc__Linux *linux_config, bool bind)
{
    for (size_t i = 0; i < ARRAY_SIZE(default_devices); i++) {
        const struct default_device *device = &default_devices[i];
        if (spec_has_device(linux_config, device->name))
            continue;
        char path[32];
        snprintf(path, sizeof(path), "/dev/%s", device->name);
        struct node node = {
            .path = path, .mode = S_IFCHR | 0666, .number = makedev(device->major, device->minor)};
        TRY(bind ? bind_node(directory, device->name, &node) : make_node(directory, device->name, &node));
    }
    return NULL;
}

static struct error *node_of_spec(const Grpc__LinuxDevice *device, struct node *ret_node)
{
    mode_t type;
    if (strcmp(device->type, "c") == 0 || strcmp(device->type, "u") == 0)
        type = S_IFCHR;
    else if (strcmp(device->type, "b") == 0)
        type = S_IFBLK;
    else if (strcmp(device->type, "p") == 0)
        type = S_IFIFO;
    else
        return error_new(ERROR_INVALID_ARGUMENT, "the device %s is of the unknown type \"%s\"", device->path,
            device->type);
    *ret_node = (struct node){
        .path = device->path,
        .mode = type | (device->file_mode ? device->file_mode & 07777 : 0666),
        .number = makedev((unsigned int)device->major, (unsigned int)device->minor),
        .uid = device->uid,
        .gid = device->gid,
    };
    return NULL;
}

static struct error *make_spec_device(int root, const Grpc__LinuxDevice *device, bool bind)
{
    struct node node = {0};
    TRY(node_of_spec(device, &node));
    _cleanup_fd_ int directory = -1;
    _cleanup_free_ char *name = NULL;
    TRY(rootfs_parent(root, device->path, &directory, &name));
    return bind ? bind_node(directory, name, &node) : make_node(directory, name, &node);
}

static struct error *make_links(int directory)
{
    for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
        /* A node or file of the image in the place of ptmx would not be the container's own terminals. */
        if (symlinkat(links[i].target, directory, links[i].name) == 0)
            continue;
        bool replace = errno == EEXIST && strcmp(links[i].name, "ptmx") == 0;
        if (replace && unlinkat(directory, "ptmx", 0) == 0 &&
            symlinkat(links[i].target, directory, "ptmx") == 0)
            continue;
        if (errno != EEXIST)
            return error_errno(errno, "linking /dev/%s", links[i].name);
    }
    return NULL;
}

static bool dev_is_bound(const Grpc__Spec *spec)
{
    for (size_t i = 0; i < spec->n_mounts; i++) {
        const Grpc__Mount *mount = spec->mounts[i];
        if (strcmp(mount->destination, "/dev") != 0)
            continue;
        if (strcmp(mount->type, "bind") == 0)
            return true;
        for (size_t j = 0; j < mount->n_options; j++)
            if (strcmp(mount->options[j], "bind") == 0 || strcmp(mount->options[j], "rbind") == 0)
                return true;
    }
    return false;
}

struct error *device_make_all(int root, const Grpc__Spec *spec, bool user_namespace)
{
    if (dev_is_bound(spec))
        return NULL;
    _cleanup_fd_ int directory = -1;
    TRY(rootfs_make_directory(root, "/dev", &directory));
    const Grpc__Linux *linux_config = spec->linux_config;
    TRY(make_default_devices(directory, linux_config, user_namespace));
    for (size_t i = 0; i < linux_config->n_devices; i++)
        TRY(make_spec_device(root, linux_config->devices[i], user_namespace));
    return make_links(directory);
}
