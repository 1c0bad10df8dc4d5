/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storages: what a request wants mounted in the guest before it uses it. A storage that names a mount point
 * which is already mounted from the same source shares it; the mount goes when its last user goes. Volumes of
 * the pod stay until the sandbox goes, so that a container that is restarted finds what it wrote: those that
 * the request calls shared, and all whose mount point is in the sandbox's own directory.
 *
 *     mmioblk, blk   source is a device in /dev; waited for
 *     scsi           source is the address of a SCSI disk, "0:7"; waited for
 *     ephemeral      tmpfs, or hugetlbfs with the options pagesize= and size= in bytes, set aside for it
 *     overlayfs      upper and work directories are made
 *     virtio-fs      source is the tag of the share
 *     local          a directory; options: mode=
 *     bind           source is a directory or file of the guest
 *     host-socket    source is a port of the host, the mount point a socket that leads there: host_socket.h
 */
#pragma once

#include "agent/link.h"
#include "base/error.h"
#include "proto/agent.pb-c.h"

#include <event2/event.h>

/* Where a request's mount points belong to the whole pod. */
#define STORAGE_POD_DIRECTORY "/run/kata-containers/sandbox"

/* How long a device may take to appear. */
#define STORAGE_DEVICE_MS 10000
#define STORAGE_MAX 128 /* in one request */

/* All mounts of this agent. */
struct storage_table;
struct storage_table *storage_table_new(void);
/* For "host-socket", which fails without. Borrowed; freed after the table was cleared. */
void storage_table_set_link(struct storage_table *table, struct link *link);
/* Unmounts the volumes of the pod, newest first; every set must have been freed. The error is for the log. */
struct error *storage_table_clear(struct storage_table *table);
/* After it was cleared. Takes NULL. */
void storage_table_free(struct storage_table *table);
/* Gives what is mounted there the options of this storage. NOT_FOUND where nothing is, and
   INVALID_ARGUMENT for other drivers than "ephemeral". */
struct error *storage_table_update(struct storage_table *table, const Grpc__Storage *storage);

/* What one container, or the sandbox, uses. */
struct storage_set;

/* error: NULL, or owned by the callee; then everything that this set had mounted is unmounted again. */
typedef void storage_done(void *context, struct error *error);

/* Mounts them in order; `done` is called exactly once, perhaps before this returns, or never if the set is
   freed first. The array is borrowed until then. */
struct storage_set *storage_set_new(struct event_base *base, struct storage_table *table,
    Grpc__Storage *const *storages, size_t count, storage_done *done, void *context);
/* Starts mounting. */
void storage_set_mount(struct storage_set *set);
/* Unmounts what nobody else uses, newest first. The error is for the log. Takes NULL. */
struct error *storage_set_free(struct storage_set *set);

/* Names of the drivers, as GetGuestDetails lists them. */
#define STORAGE_DRIVER_COUNT 9
void storage_driver_names(const char *ret_names[STORAGE_DRIVER_COUNT]);
