/* SPDX-License-Identifier: Apache-2.0 */
/* Which way a root file system goes to the guest. Looks at the sources, opens and mounts nothing. */
#pragma once

#include "base/error.h"
#include "storage/storage.h"

enum rootfs_kind {
    ROOTFS_IMAGE,  /* one read-only image: a disk, and an overlay of ours above it */
    ROOTFS_DISK,   /* one writable file system: a disk */
    ROOTFS_LAYERS, /* images, perhaps a writable disk, and at last an overlay of them: all but it are disks */
    ROOTFS_TREE,   /* mounted on the host */
};

struct rootfs {
    enum rootfs_kind kind;
    size_t disks; /* that it takes */
};

/* A file system that cannot be written. */
bool rootfs_is_image_type(const char *type);
/* `room`: disks that the machine can have; what takes more becomes a tree. NOT_FOUND names a missing image.
 */
struct error *rootfs_choose(
    const struct storage_source *sources, size_t count, size_t room, struct rootfs *ret_rootfs);
