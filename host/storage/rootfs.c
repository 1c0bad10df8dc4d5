/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/rootfs.h"

#include "storage/mount_call.h"

#include <string.h>
#include <sys/stat.h>

/* What the guest's kernel mounts. */
static const char *const image_types[] = {"erofs", "squashfs"};
static const char *const disk_types[] = {"ext4", "xfs"};

static bool is_one_of(const char *type, const char *const *types, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(types[i], type) == 0)
            return true;
    return false;
}

bool rootfs_is_image_type(const char *type)
{
    return is_one_of(type, image_types, ARRAY_SIZE(image_types));
}

static bool is_transformed(const struct storage_source *source)
{
    return mount_type(source->type) != source->type;
}

static bool is_image(const struct storage_source *source)
{
    return rootfs_is_image_type(source->type) && !mount_option_value(source, "device=");
}

static bool is_disk(const struct storage_source *source)
{
    bool made = mount_type_has(source->type, "mkfs");
    return (made || !is_transformed(source)) &&
           is_one_of(mount_type(source->type), disk_types, ARRAY_SIZE(disk_types));
}

/* A source that a virtual disk can show. */
static struct error *check_block(const struct storage_source *source)
{
    struct stat status;
    if (stat(source->source, &status) < 0)
        return error_errno(errno, "root image %s", source->source);
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        return error_new(ERROR_INVALID_ARGUMENT, "root image %s is no file", source->source);
    return NULL;
}

/*
 * Upper and work directory of an overlay: on the one disk that is a layer, or nowhere. Those on the host must
 * stay there, for it is there that the snapshotter looks for what was changed.
 */
static bool is_overlay_of_layers(const struct storage_source *overlay)
{
    static const char *const written[] = {"upperdir=", "workdir="};
    if (strcmp(mount_type(overlay->type), "overlay") != 0 || !mount_type_has(overlay->type, "format"))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
        const char *path = mount_option_value(overlay, written[i]);
        if (path && strncmp(path, "{{", 2) != 0)
            return false;
    }
    const char *lower = mount_option_value(overlay, "lowerdir=");
    return lower && strncmp(lower, "{{", 2) == 0;
}

static bool are_layers(const struct storage_source *sources, size_t count)
{
    size_t disks = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        if (sources[i].target && *sources[i].target)
            return false;
        disks += is_disk(&sources[i]);
        if (!is_image(&sources[i]) && !is_disk(&sources[i]))
            return false;
    }
    return disks <= 1 && is_overlay_of_layers(&sources[count - 1]);
}

static enum rootfs_kind choose_one(const struct storage_source *source)
{
    if (is_image(source))
        return ROOTFS_IMAGE;
    if (is_disk(source))
        return mount_has_option(source, "ro") ? ROOTFS_IMAGE : ROOTFS_DISK;
    return ROOTFS_TREE;
}

struct error *rootfs_choose(
    const struct storage_source *sources, size_t count, size_t room, struct rootfs *ret_rootfs)
{
    struct rootfs rootfs = {.kind = ROOTFS_TREE};
    if (count == 0)
        return error_new(ERROR_INVALID_ARGUMENT, "the container has no root file system");
    if (count == 1)
        rootfs.kind = choose_one(sources);
    else if (are_layers(sources, count))
        rootfs.kind = ROOTFS_LAYERS;
    rootfs.disks = rootfs.kind == ROOTFS_TREE ? 0 : rootfs.kind == ROOTFS_LAYERS ? count - 1 : 1;
    for (size_t i = 0; i < rootfs.disks; i++)
        TRY(check_block(&sources[i]));
    if (rootfs.kind == ROOTFS_LAYERS && rootfs.disks > room)
        rootfs = (struct rootfs){.kind = ROOTFS_TREE};
    *ret_rootfs = rootfs;
    return NULL;
}
