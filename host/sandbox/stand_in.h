/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's stand-in on the host.
 *
 * The processes of a container have no pids on the host, but everybody around containerd expects its task to
 * have one: nerdctl and Docker find the network namespace at /proc/PID/ns/net, CNI hooks put interfaces
 * there, `nerdctl cp` reads and writes files below /proc/PID/root, cAdvisor and `stats` count the bytes of
 * /proc/PID/net/dev, and people send signals to it. The stand-in is a child of the supervisor that has that
 * network namespace and that root, and otherwise nothing: it shares the supervisor's pages, holds no
 * descriptor but a socket, has no capabilities, and sleeps. It dies with the supervisor.
 *
 * Signals that it gets are told to the supervisor, which passes them on to the container's first process;
 * SIGKILL ends it, which is told as well.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <sys/types.h>

/* Borrowed during stand_in_new. */
struct stand_in_config {
    const char *name;     /* the container's; ps shows "caisson: NAME" */
    const char *hostname; /* of its UTS namespace; "": as the host's */
    const char
        *network; /* a network namespace's path; "": a new one, with its loopback up; NULL: the host's */
};

/* Each may free the stand-in. */
struct stand_in_events {
    /* Its namespaces are as they shall be; or they cannot be had, and the error is the callee's. */
    void (*ready)(void *context, struct error *error);
    void (*signalled)(void *context, int number);
    /* It could not take the root file system. The reason is borrowed. */
    void (*failed)(void *context, const struct error *reason);
    /* It was killed. */
    void (*ended)(void *context);
};

struct stand_in;

struct error *stand_in_new(struct event_base *base, const struct stand_in_config *config,
    const struct stand_in_events *events, void *context, struct stand_in **ret_stand_in);
pid_t stand_in_pid(const struct stand_in *stand_in);
/* Gives it its root: a tree as open_tree makes it, borrowed, or -1 for none: then it keeps the empty,
   read-only one that it began with. Once, and it gives up its last capability with it. */
struct error *stand_in_set_root(struct stand_in *stand_in, int tree);
/* Kills and reaps it. Takes NULL. */
void stand_in_free(struct stand_in *stand_in);

DEFINE_CLEANUP(struct stand_in *, stand_in_free);
