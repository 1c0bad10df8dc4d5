/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers inside the guest: what an OCI runtime does, from the guest protocol's Spec.
 *
 *     container_create   namespaces, cgroup, mounts, hooks; the init process is ready and waits
 *     container_start    the init process becomes the user's command
 *     container_exec     one more process in the same confinement
 *     container_destroy  everything is killed and gone
 *
 * The calls are for a single-threaded caller that is the parent of all processes made here. Each returns as
 * soon as the kernel has done it. Where a forked child has to answer, the wait has a deadline
 * (CONTAINER_HANDSHAKE_MS, and the timeouts of the hooks that run meanwhile).
 *
 * Reaping: the processes of container_process are children of the caller, and the caller waits for them
 * (waitpid or pidfd). Children that a failing call leaves behind, and hooks, are reaped here before the call
 * returns; they must not be reaped by somebody else in between, which a single-threaded event loop ensures.
 *
 * Everything in the Spec is taken as it stands, as runc would take it. What this guest does not have is left
 * out: security labels (apparmor, selinux), Intel RDT, network classes. Network namespaces are joined or
 * made when the Spec names them.
 */
#pragma once

#include "base/error.h"
#include "proto/agent.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* How long a child may take for each step of the handshake, without the hooks' own timeouts. */
#define CONTAINER_HANDSHAKE_MS 90000
/* A hook that names no timeout is given this long, because the guest's only thread waits for it. */
#define CONTAINER_HOOK_MS 30000

struct container;

/* Ends that the process gets as 0, 1 and 2. Borrowed during the call; -1 is /dev/null. All three are ignored
   for a process with a terminal. */
struct container_streams {
    int input;
    int output;
    int errors;
};

/* A process that was made here. */
struct container_process {
    pid_t pid;    /* as the caller sees it */
    int terminal; /* master of its terminal (blocking, close-on-exec), the caller's to close; -1: none */
};

struct container_options {
    const char *id;
    const char *bundle; /* what hooks are told; may not exist */
    /* spec->root->path is a mounted root file system. Made by grpc__spec__unpack or with malloc throughout:
       container_create takes it when it succeeds. */
    Grpc__Spec *spec;
    struct container_streams streams;
    int pid_namespace; /* descriptor of a pid namespace to live in instead of a new one; -1: as the Spec says
                        */
    bool init;         /* a small init is PID 1, reaps, passes signals on and exits as the command does */
    const char *cgroup_root; /* where cgroup2 is mounted: "/sys/fs/cgroup" */
};

/* Once, early in the life of a PID 1 that runs from an initramfs, before anything else is mounted: gives the
   mount namespace a root that pivot_root can leave. Without it no container can be made there. */
struct error *container_leave_initramfs(void);

/* As `runc create`: a command that is not there is NOT_FOUND, one that may not be executed PERMISSION_DENIED.
 */
struct error *container_create(const struct container_options *options, struct container **ret_container,
    struct container_process *ret_process);

/* As `runc start`: startContainer hooks, exec, poststart hooks. What container_create could not see:
   NOT_FOUND for a missing interpreter, PERMISSION_DENIED for what is no program. After a failure the init
   process is dead or dying and the caller reaps it; only container_destroy is of use then. */
struct error *container_start(struct container *container);

/* Runs one more process. Errors as container_start; nothing is left behind on failure. FAILED_PRECONDITION
   when the container is paused or its init process is gone. What the process leaves out (capabilities,
   rlimits) is the container's. */
struct error *container_exec(struct container *container, const Grpc__Process *process,
    const struct container_streams *streams, struct container_process *ret_process);

const char *container_id(const struct container *container);
pid_t container_init_pid(const struct container *container);

/* pid is one of the caller's unreaped processes of this container; 0 is every process in it (SIGKILL through
   cgroup.kill, so that nothing can fork away). A process that is gone is NOT_FOUND. */
struct error *container_signal(struct container *container, pid_t pid, int signal);
/* All processes, also of inner cgroups, as pids of the caller's namespace. The array is the caller's. */
struct error *container_pids(struct container *container, pid_t **ret_pids, size_t *ret_count);

/* Return when every process is frozen, or thawed. */
struct error *container_pause(struct container *container);
struct error *container_resume(struct container *container);
bool container_is_paused(const struct container *container);

/* Members that are unset (zero, empty) stay as they are. */
struct error *container_update(struct container *container, const Grpc__LinuxResources *resources);
/* Adds cgroup_stats, allocated with malloc as grpc__stats_container_response__free_unpacked expects. What a
   controller that is off would tell is left at zero. */
struct error *container_stats(struct container *container, Grpc__StatsContainerResponse *response);

/* A descriptor that becomes readable when memory.events changes, or -1 where there is no memory controller.
   The container's own; after it woke, ask container_oom_kills, which also makes it unreadable again. */
int container_oom_fd(const struct container *container);
/* How many processes the kernel's out-of-memory killer has taken so far. */
struct error *container_oom_kills(struct container *container, uint64_t *ret_kills);

/* Kills and removes everything: processes, cgroup, and the object itself, whatever happens on the way; runs
   the poststop hooks. The error is for the log. The caller still reaps its processes. Takes NULL. */
struct error *container_destroy(struct container *container);
