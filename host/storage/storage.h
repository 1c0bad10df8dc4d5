/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what a container wants to see to what its machine has and its agent mounts: the root image, scratch
 * space above it, and host directories and files through virtio-fs.
 *
 *     storage_new      checks sources and images; NOT_FOUND names what is missing
 *     storage_start    makes the scratch disk, starts the file server
 *     (hv_new with storage_disks and storage_shares; then storage_release: the machine has its own copies)
 *     storage_free     ends the file server; nothing remains
 *
 * Nothing is mounted on the host: the file server sees the shared tree in its own mount namespace, and the
 * scratch disk is a file without a name.
 */
#pragma once

#include "base/error.h"
#include "hv/hv.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORAGE_BINDS_MAX 120

/* A directory or single file of the host. */
struct storage_bind {
    const char *source;
    bool read_only;
};

/* Borrowed during storage_new only. */
struct storage_config {
    const char *name;              /* sandbox id */
    const char *directory;         /* private to this machine; a socket is here for a moment */
    const char *container;         /* container id: names the mount points in the guest */
    const char *rootfs;            /* the root image */
    const char *rootfs_type;       /* "erofs", "squashfs" or "ext4" */
    uint64_t scratch_size;         /* bytes of a sparse disk for what the container writes; 0: guest memory */
    const char *scratch_directory; /* on a real disk; used when scratch_size is not 0 */
    const struct storage_bind *binds;
    size_t bind_count;
};

struct storage;

struct storage_events {
    /* The file server ended while the machine may still use it. The reason is borrowed. */
    void (*failed)(void *context, const struct error *reason);
};

/* What the agent is told to mount, in the terms of Kata's Storage message. Valid until storage_free. */
struct storage_mount {
    const char *driver;
    const char *source;
    const char *fstype;
    char **options;
    const char *mount_point;
};

struct error *storage_new(struct event_base *base, const struct storage_config *config,
    const struct storage_events *events, void *context, struct storage **ret_storage);

/* error NULL on success; otherwise owned by the callee. */
typedef void storage_done(void *context, struct error *error);
/* `done` may be called before this returns. */
void storage_start(struct storage *storage, storage_done *done, void *context);

/* For hv_config, after a successful start; borrowed. */
const struct hv_disk *storage_disks(const struct storage *storage, size_t *ret_count);
const struct hv_share *storage_shares(const struct storage *storage, size_t *ret_count);
/* Closes our descriptors of disks and shares once hv_new has taken copies. */
void storage_release(struct storage *storage);

/* For CreateSandbox: the share, where there is one. */
const struct storage_mount *storage_sandbox_mounts(const struct storage *storage, size_t *ret_count);
/* For CreateContainer, in order; the last one mounts the root file system. */
const struct storage_mount *storage_rootfs_mounts(const struct storage *storage, size_t *ret_count);
/* The container's root in the guest: root.path of its spec. */
const char *storage_rootfs_path(const struct storage *storage);
/* Where the guest finds binds[index]. */
const char *storage_bind_path(const struct storage *storage, size_t index);

/* The file server, for measurements; 0 where there is none. */
pid_t storage_process(const struct storage *storage);
/* Takes NULL. */
void storage_free(struct storage *storage);

DEFINE_CLEANUP(struct storage *, storage_free);
