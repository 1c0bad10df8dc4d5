/* SPDX-License-Identifier: Apache-2.0 */
/* A sandbox's storage and its containers' parts as they know each other; for the files of this folder. */
#pragma once

#include "storage/mounter.h"
#include "storage/rootfs.h"
#include "storage/scratch.h"
#include "storage/share.h"
#include "storage/storage.h"

#include <sys/queue.h>

#define GUEST_RUN "/run/kata-containers"
#define GUEST_SHARE GUEST_RUN "/shared/containers"

/* Disks that a machine is made with: of the eight devices of a microvm, the link, the balloon, a share and
   two network cards take five; and the controller of disks that come later one more, where they can come. */
#define STORAGE_DISKS_MAX 3
#define STORAGE_DISKS_MAX_DYNAMIC 2
/* Disks of one container in a machine that runs. */
#define STORAGE_HOT_DISKS_MAX 16

struct storage {
    struct event_base *base;
    struct storage_events events;
    void *context;
    char *name;
    char *directory;
    char *scratch_directory;
    bool dynamic;

    struct hv_disk disks[STORAGE_DISKS_MAX]; /* for hv_new */
    size_t disk_count;
    struct hv_share hv_share;
    size_t share_count;
    bool released; /* the machine was made: a disk must now be attached to it */
    struct hv *hv; /* once it runs */

    struct storage_mount sandbox_mount;
    struct share *share;
    bool growing; /* mounts can come and go below the share */
    LIST_HEAD(, container_storage) containers;
};

/* A disk of a container on its way to the machine. */
struct container_disk {
    int fd; /* until the machine has it */
    bool read_only;
    bool durable;
    size_t mount;  /* index of the mount that is to have it as its source */
    char *address; /* of one that was attached to a running machine */
};

struct container_storage {
    struct storage *storage; /* NULL once that is gone */
    LIST_ENTRY(container_storage) entry;
    char *id;

    struct mounter_tree *trees; /* the root file system where it is one, then the binds */
    size_t tree_count;
    size_t bind_count;
    struct mounter *mounter;
    bool placed; /* the trees are, or may be, in the file server's world */
    int host_root;

    struct storage_mount *mounts;
    size_t mount_count;
    const char *rootfs; /* its path in the guest */
    char **bind_paths;  /* in the guest, one for each bind */
    char **texts;       /* what the strings above point at */

    char *format_path; /* of a file that has no file system yet */
    int format_fd;

    struct container_disk *disks;
    size_t disk_count;
    size_t disks_given; /* the first of them are the machine's */
    struct scratch *scratch;
    uint64_t scratch_size;
    size_t scratch_mount; /* index in mounts */

    bool attaching; /* the machine has not answered yet: it will call back */
    bool removing;
    struct event *soon; /* the end of a removal */
    storage_done *done;
    void *done_context;
};

/* ---- storage.c ---- */

/* Starts the file server; once. Without entries, trees come and go while it runs. */
struct error *storage_start_share(struct storage *storage, const struct share_entry *entries, size_t count);
/* Takes the descriptor; the caller owns the name of the device in the guest. */
struct error *storage_give_disk(
    struct storage *storage, int fd, const struct container_disk *disk, char **ret_device);

/* ---- container_mounts.c: what the guest is told ---- */

/* Keeps the text as long as the container's part lives. */
const char *container_keep(struct container_storage *container, char *text);
/* Describes the mounts of a root file system that is no tree, opens its disks. */
struct error *container_describe(struct container_storage *container, const struct rootfs *rootfs,
    const struct storage_source *sources, size_t count);

/* ---- container_files.c ---- */

/* Makes the files that are missing and to be made; format_fd is to get a file system. */
struct error *container_make_files(
    struct container_storage *container, const struct storage_source *sources, size_t count);
/* Removes one that got none. */
void container_forget_files(struct container_storage *container);

/* ---- container_trees.c: what the file server sees ---- */

struct error *container_read_rootfs(
    struct container_storage *container, const struct storage_source *sources, size_t count);
struct error *container_read_binds(
    struct container_storage *container, const struct storage_bind *binds, size_t count);
void container_trees_free(struct container_storage *container);

/* ---- container_disks.c: what the machine is given ---- */

/* Gives the next disks; container_disks_given is called once, now or later. */
void container_give_disks(struct container_storage *container);
void container_disks_given(struct container_storage *container, struct error *error);
/* Takes back those of a running machine; container_removed is called once, now or later. */
void container_take_disks(struct container_storage *container);

/* ---- container_storage.c ---- */

/* The machine has answered to a disk that is not wanted any more. */
void container_attached_late(struct container_storage *container);
/* At once and without a word. */
void container_destroy(struct container_storage *container);
/* Destroys one that is being removed, and tells whoever asked. */
void container_finish_removal(struct container_storage *container);
/* Nothing of it is in use any more: frees it, from the event loop, and tells whoever waits for that. */
void container_removed(struct container_storage *container);
