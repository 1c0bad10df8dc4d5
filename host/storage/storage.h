/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what containers want to see to what their machine has and its agent mounts. A sandbox has one storage,
 * each of its containers a part of it:
 *
 *     storage_new             the sandbox's; one that is dynamic has its file server from here on
 *     storage_add             a container: checks and opens images, mounts what the snapshotter handed over
 *                             where the file server sees it, makes the scratch disk
 *     (hv_new with storage_disks and storage_shares; then storage_release: the machine has its own copies)
 *     storage_set_machine     from here on, disks of more containers are attached to the running machine
 *     container_storage_free  takes its trees out of the file server's world and its disks out of the machine
 *     storage_free            ends the file server; nothing remains
 *
 * A root file system goes to the guest in one of three ways:
 *   image     a read-only EROFS, squashfs or ext4 image, or several EROFS layers: virtio-blk, and in the
 * guest an overlay above it disk      a writable ext4 or xfs, on a block device or in a file: virtio-blk, as
 * it is tree      whatever else containerd's mounts describe: mounted for the file server, virtio-fs
 *
 * Nothing is ever mounted in the host's own mount namespace: see mounter.h.
 */
#pragma once

#include "base/error.h"
#include "hv/hv.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORAGE_BINDS_MAX 120

/* Borrowed during storage_new only. */
struct storage_config {
    const char *name;              /* sandbox id */
    const char *directory;         /* private to this machine; a socket is here for a moment */
    const char *scratch_directory; /* on a real disk; needed for containers whose scratch_size is not 0 */
    bool dynamic;                  /* more containers may come: the file server runs from the beginning */
};

struct storage_events {
    /* The file server ended while the machine may still use it. The reason is borrowed. */
    void (*failed)(void *context, const struct error *reason);
    /* A container's trees are gone from the file server's world, but the guest may still remember the
       directory and so have the server keep files of them open. May be NULL. */
    void (*removed)(void *context, const char *guest_directory);
};

struct storage;

struct error *storage_new(struct event_base *base, const struct storage_config *config,
    const struct storage_events *events, void *context, struct storage **ret_storage);
/* Takes NULL. Containers' parts that still live are empty from here on, and are freed by their owners.
   Removals under way end with it, and their `done` is not called: whoever frees the storage knows. */
void storage_free(struct storage *storage);

/* For hv_config, after the first container was added; borrowed. */
const struct hv_disk *storage_disks(const struct storage *storage, size_t *ret_count);
const struct hv_share *storage_shares(const struct storage *storage, size_t *ret_count);
/* Whether disks of more containers will have to be attached while the machine runs. */
bool storage_is_dynamic(const struct storage *storage);
/* Closes our descriptors of disks and shares once hv_new has taken copies. */
void storage_release(struct storage *storage);
/* The machine runs; borrowed until storage_free, or until NULL is set. */
void storage_set_machine(struct storage *storage, struct hv *hv);
/* The file server, for cgroups and measurements; 0 where there is none. */
pid_t storage_process(const struct storage *storage);

/* What the agent is told to mount, in the terms of Kata's Storage message. */
struct storage_mount {
    const char *driver;
    const char *source;
    const char *fstype;
    char **options;
    const char *mount_point;
};

/* For CreateSandbox: the share, where there is one. */
const struct storage_mount *storage_sandbox_mounts(const struct storage *storage, size_t *ret_count);

/* ---- a container ---- */

/* One of the mounts that make a root file system, as containerd hands it over. */
struct storage_source {
    const char *type;
    const char *source;
    const char *target; /* below the root file system; NULL or "": the root itself */
    const char *const *options;
    size_t option_count;
};

/* A directory or single file of the host. */
struct storage_bind {
    const char *source;
    bool read_only;
    bool follows; /* see mounter.h; for root only */
};

/* Borrowed during storage_add only. */
struct container_storage_config {
    const char *container; /* container id: names the mount points in the guest */
    const struct storage_source *rootfs;
    size_t rootfs_count;
    uint64_t scratch_size; /* bytes of a sparse disk for what is written above an image; 0: guest memory */
    const struct storage_bind *binds;
    size_t bind_count;
};

struct container_storage;

/* error NULL on success; otherwise owned by the callee. */
typedef void storage_done(void *context, struct error *error);

/* *ret_container is set before `done` is called, which may be before this returns; also when it failed, and
   is the caller's to free. NOT_FOUND names what is missing. */
void storage_add(struct storage *storage, const struct container_storage_config *config, storage_done *done,
    void *context, struct container_storage **ret_container);
/* Interrupts an adding, without a call of `done`. Its trees and disks are taken away in the background.
   Takes NULL. */
void container_storage_free(struct container_storage *container);
/* The same, and `done` is called, from the event loop or at once, when nothing of it is in use any more. */
void container_storage_remove(struct container_storage *container, storage_done *done, void *context);

/* For CreateContainer, in order; the last one mounts the root file system. Valid until
   container_storage_free, as are the paths. */
const struct storage_mount *container_storage_mounts(
    const struct container_storage *container, size_t *ret_count);
/* The container's root in the guest: root.path of its spec. */
const char *container_storage_rootfs(const struct container_storage *container);
/* Where the guest finds binds[index]. */
const char *container_storage_bind_path(const struct container_storage *container, size_t index);
/* A mount tree, in no place, with the root file system as the host sees it, where it is a tree; else -1.
   Borrowed. */
int container_storage_host_root(const struct container_storage *container);
/* Its root file system is on a disk that outlives the machine: the guest has to write back what it holds. */
bool container_storage_is_durable(const struct container_storage *container);

DEFINE_CLEANUP(struct storage *, storage_free);
DEFINE_CLEANUP(struct container_storage *, container_storage_free);
