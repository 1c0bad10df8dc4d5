/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One cgroup of the v2 hierarchy: its life, its limits, its numbers. File names, units and meanings are those
 * of https://docs.kernel.org/admin-guide/cgroup-v2.html
 */
#pragma once

#include "base/error.h"
#include "proto/agent.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How long the kernel may take to freeze, thaw or end the processes of a cgroup. */
#define CGROUP_SETTLE_MS 10000

struct cgroup;

/* Makes ROOT/PATH, with every controller that its parents have to give. A cgroup that is there already is
   used when no process is in it (ALREADY_EXISTS otherwise). */
struct error *cgroup_create(const char *root, const char *path, struct cgroup **ret_cgroup);
/* Lets go without removing. Takes NULL. */
void cgroup_free(struct cgroup *cgroup);
DEFINE_CLEANUP(struct cgroup *, cgroup_free);

/* The directory of the cgroup that a process is in. */
struct error *cgroup_open_process(const char *root, pid_t pid, int *ret_fd);
/* Directory descriptor, for CLONE_INTO_CGROUP. */
int cgroup_fd(const struct cgroup *cgroup);

/* Writes what is set. FAILED_PRECONDITION names the controller that the kernel lacks. */
struct error *cgroup_limit(const struct cgroup *cgroup, const Grpc__LinuxResources *resources);
/* A root user of a user namespace may make cgroups of its own below. */
struct error *cgroup_delegate(const struct cgroup *cgroup, uid_t uid, gid_t gid);

struct error *cgroup_pids(const struct cgroup *cgroup, pid_t **ret_pids, size_t *ret_count);
/* SIGKILL goes through cgroup.kill. */
struct error *cgroup_signal(const struct cgroup *cgroup, int signal);
/* Returns when all processes have stopped, or run again. */
struct error *cgroup_freeze(const struct cgroup *cgroup, bool frozen);
/* Kills what is inside, waits for it to end, and removes the cgroup with all that the container made below.
 */
struct error *cgroup_destroy(const struct cgroup *cgroup);

/* New messages for the guest protocol. */
Grpc__CgroupStats *cgroup_stats(const struct cgroup *cgroup);
/* Readable when memory.events changes; -1 where there is no memory controller. */
int cgroup_watch_memory(const struct cgroup *cgroup);
struct error *cgroup_oom_kills(const struct cgroup *cgroup, uint64_t *ret_kills);
