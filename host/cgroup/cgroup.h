/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cgroup of a sandbox's processes on the host: the one that config.json's linux.cgroupsPath names.
 *
 * The supervisor moves itself there before it starts anything, so the hypervisor, the file server, stand-ins
 * and their threads are in it from their first instruction on, and what they allocate is counted there. At
 * the end it moves back to where it came from and removes the cgroup. It works on whatever the host has
 * mounted: every cgroup v1 hierarchy, cgroup v2, or both.
 *
 * The specification has two forms of the path:
 *   /kubepods/burstable/podUID/ID     a path below each hierarchy's mount (a relative one means the same)
 *   SLICE:PREFIX:NAME                 systemd's: a scope PREFIX-NAME.scope in SLICE. The directory that
 *                                     systemd would make is made; systemd itself is not asked (no D-Bus).
 *
 * Limits that a container was given hold inside the machine. On the host they would hit the hypervisor's own
 * needs as well, so struct cgroup_limits is the sandbox's, made from the size of its machine.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct cgroup_limits {
    uint64_t memory;     /* bytes; 0: none */
    uint64_t cpu_shares; /* cgroup v1's scale, 2 to 262144; 0: the kernel's default */
    const char *cpus;    /* lists as in "0-3,7"; NULL or "": the parent's */
    const char *mems;
};

struct cgroup;

/* Looks at the hierarchies that are mounted; makes nothing. INVALID_ARGUMENT for a path that leads up or
   names no cgroup of its own; FAILED_PRECONDITION where the host has no cgroups mounted. */
struct error *cgroup_new(const char *path, struct cgroup **ret_cgroup);
/* As cgroup_new, for a host whose `mountinfo` and `cgroup` (as in /proc/self) are in this directory. */
struct error *cgroup_new_from(const char *proc, const char *path, struct cgroup **ret_cgroup);
/* One more owner; returns it. Takes NULL. */
struct cgroup *cgroup_hold(struct cgroup *cgroup);
/* One owner less; the last one frees it, and removes nothing. Takes NULL. */
void cgroup_free(struct cgroup *cgroup);

/* Makes the cgroup, limits it, and moves this process there. This process must have one thread only. A
   failure leaves everything as it was. */
struct error *cgroup_enter(struct cgroup *cgroup, const struct cgroup_limits *limits);
/* Other limits for one that was entered; those that are unset stay as they are. */
struct error *cgroup_limit(struct cgroup *cgroup, const struct cgroup_limits *limits);
/* Back to where cgroup_enter found this process, which alone goes there; and in again. */
struct error *cgroup_step_out(struct cgroup *cgroup);
struct error *cgroup_step_in(struct cgroup *cgroup);
/* Back to where cgroup_enter found this process, with whatever else is still there (a logger that finishes
   its last line); then the cgroup is removed. What was there before cgroup_enter stays. */
struct error *cgroup_leave(struct cgroup *cgroup);

/* A process_prepare: moves the child to where this process was before cgroup_enter. For programs that are not
   the sandbox's, such as hooks: what they leave running outlives it. Async-signal-safe. */
int cgroup_return_child(void *cgroup);

/* Moves this process into a cgroup that somebody else has made, in every hierarchy that has it. NOT_FOUND
   where none has. */
struct error *cgroup_join(const char *path);

/* For what a supervisor left that died: waits (at most CGROUP_REMOVE_MILLISECONDS) for the processes in there
   to end, which the supervisor's death has doomed, moves others to the caller's own cgroup, and removes it.
   Kills nothing. Success where there is nothing, or where the path is empty. */
struct error *cgroup_remove(const char *path);
#define CGROUP_REMOVE_MILLISECONDS 2000

DEFINE_CLEANUP(struct cgroup *, cgroup_free);
#define _cleanup_cgroup_ _cleanup_(cgroup_free)
