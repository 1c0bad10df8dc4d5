/* SPDX-License-Identifier: Apache-2.0 */
/* A sandbox's storage and its containers' parts as they know each other; for the files of this folder. */
#pragma once

#include "storage/scratch.h"
#include "storage/share.h"
#include "storage/storage.h"

#include <sys/queue.h>

#define GUEST_RUN "/run/kata-containers"
#define GUEST_SHARE GUEST_RUN "/shared/containers"

/* As many as a machine may be made with; qemu_check_config says how many slots there are. */
#define DISKS_MAX 24

struct storage {
    struct event_base *base;
    struct storage_events events;
    void *context;
    char *name;
    char *directory;
    char *scratch_directory;

    struct hv_disk disks[DISKS_MAX]; /* for hv_new */
    size_t disk_count;
    struct hv_share hv_share;
    size_t share_count;
    bool released; /* the machine was made: a disk must now be attached to it */
    struct hv *hv; /* once it runs */

    struct storage_mount sandbox_mount;
    struct share *share;
    LIST_HEAD(, container_storage) containers;
};

struct container_storage {
    struct storage *storage; /* NULL once that is gone */
    LIST_ENTRY(container_storage) entry;
    char *id;

    struct share_entry *binds;
    char **bind_paths; /* in the guest, one for each */
    size_t bind_count;

    struct storage_mount *mounts;
    size_t mount_count;
    char **texts; /* what the mounts' strings point at */

    uint64_t scratch_size;
    size_t scratch_mount; /* index in mounts */
    struct scratch *scratch;
    storage_done *done;
    void *done_context;
};

/* Starts the file server with these trees; once. */
struct error *storage_start_share(struct storage *storage, const struct share_entry *entries, size_t count);
/* Takes the descriptor; *ret_device is borrowed by the container: what the guest calls the disk. */
struct error *storage_give_disk(struct storage *storage, int fd, bool read_only, char **ret_device);
