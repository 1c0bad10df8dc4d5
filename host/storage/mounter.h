/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts for the file server, without one in the host's mount namespace.
 *
 * A helper, a child of this process that lives as long as its task, begins in a mount namespace of its own, a
 * private copy of the host's. There it calls mount(2) for what the snapshotter handed over, and takes each
 * result, or a directory or file of the host, as a tree that is in no place (open_tree). It then enters the
 * file server's mount namespace and puts the trees below /shared. Its own namespace ends with it, the
 * server's with the server: so nothing is left, whoever is killed and when.
 *
 * For root only: an ordinary user's file server has its trees from the beginning.
 */
#pragma once

#include "storage/mount_call.h"

#include <event2/event.h>
#include <sys/types.h>

/* Something to be seen below /shared. */
struct mounter_tree {
    /* What to mount: the tree is what call `root` shows in the end. Without calls: `source` of the host, with
       all that is mounted below it. */
    struct mount_call *calls;
    size_t call_count;
    size_t root;
    char *source;
    bool directory; /* or a single file */
    bool read_only;
    bool
        follows; /* what the host mounts below `source` later is seen too, where the host's mount is shared */
    char *target; /* "/CONTAINER/rootfs", "/CONTAINER/0/name": up to three names, no more */
};

struct mounter;

/* error NULL on success; otherwise owned by the callee. host_root is the callee's: another clone of the first
   tree that has calls, or -1. */
typedef void mounter_done(void *context, struct error *error, int host_root);

/* Where the helper mounts call `index`: places for mount_call_read. Owned by the caller. */
char *mounter_place(size_t index);

/* Puts the trees where the server sees them. `done` is called from the event loop. The trees are borrowed
   until then. */
struct error *mounter_add(struct event_base *base, pid_t server, const struct mounter_tree *trees,
    size_t count, mounter_done *done, void *context, struct mounter **ret_mounter);
/* Takes them away again; those that are not there are no error. */
struct error *mounter_remove(struct event_base *base, pid_t server, const struct mounter_tree *trees,
    size_t count, mounter_done *done, void *context, struct mounter **ret_mounter);
/* Ends the helper, whatever it was doing. Takes NULL. */
void mounter_free(struct mounter *mounter);
