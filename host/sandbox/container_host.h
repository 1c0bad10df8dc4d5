/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container has on the host beside the machine: its stand-in and the hooks of the host's world; and
 * what the sandbox has there: its cgroup. Only under containerd, and only for root: Caisson's own command
 * line has no use for them, and an ordinary user no right to them.
 */
#pragma once

#include "sandbox/host_hooks.h"
#include "sandbox/model.h"
#include "sandbox/stand_in.h"

struct container_host {
    struct sandbox *sandbox;
    struct container *container; /* NULL: the container is gone, and poststop hooks still run */
    struct stand_in *stand_in;
    Grpc__Spec *spec; /* of the container: only what its state and its hooks need */
    char *id;
    char *bundle;
    char *state;              /* as the hooks that run were given it */
    bool set_up;              /* create hooks have begun: poststop hooks are due */
    struct host_hooks *hooks; /* that run */
    sandbox_done *done;       /* of what runs */
    void *context;
    TAILQ_ENTRY(container_host) entry; /* of sandbox->farewells */
};

bool container_has_host(const struct container *container);
struct container_host *container_host_new(struct container *container, const Grpc__Spec *spec);
/* At once: hooks that run are killed. Takes NULL. */
void container_host_free(struct container_host *host);
/* prestart, then createRuntime. The container's stand-in is ready. */
void container_host_set_up(struct container_host *host, sandbox_done *done, void *context);
/* Its first process has ended: the stand-in ends before anybody is told, as the pid of any process that was
   waited for. NULL is fine. */
void container_host_exited(struct container_host *host);
/* Of a container that comes to nothing: the poststop hooks run without it, where they are due; takes the
   host. The sandbox's shutdown waits for them. */
void container_host_abandon(struct container_host *host);
/* Of a container that is deleted: poststop hooks, whose failures are remarks. `done`
   may be called at once; host may be NULL. */
void container_host_end(struct container_host *host, sandbox_done *done, void *context);

/* ---- the sandbox's ---- */

/* From config.json or an update; what these leave out stays. resources may be NULL. */
void container_cpu_set(struct container_cpu *cpu, const Grpc__LinuxResources *resources);
void container_cpu_clear(struct container_cpu *cpu);
/* cgroup_enter or cgroup_limit, with what all of its containers come to. Success where it has no cgroup. */
typedef struct error *limit_cgroup(struct cgroup *cgroup, const struct cgroup_limits *limits);
struct error *sandbox_limit_cgroup(struct sandbox *sandbox, limit_cgroup *limit);
/* The same for a change of one container; a failure changes nothing. */
struct error *container_update_cpu(struct container *container, const Grpc__LinuxResources *resources);

/* Whether hooks of containers that are gone still run. */
bool sandbox_says_farewell(const struct sandbox *sandbox);
/* Leaves and removes the cgroup. */
void sandbox_leave_cgroup(struct sandbox *sandbox);
/* At once. */
void sandbox_free_farewells(struct sandbox *sandbox);
