/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks of the host's world: prestart and createRuntime before the machine, poststop after the container
 * (https://github.com/opencontainers/runtime-spec/blob/main/config.md#posix-platform-hooks). They set up what
 * lies outside of the container, its network above all, and find it by the pid of its stand-in.
 *
 * Each gets the container's state on standard input, exactly the environment that config.json gives it, and
 * the bundle as its working directory; it is waited for by events, and killed with its children when its time
 * is over. It runs in the cgroup that the supervisor came from, because what it starts may outlive the
 * sandbox: nerdctl's leaves a process behind that keeps the published ports.
 */
#pragma once

#include "base/error.h"
#include "cgroup/cgroup.h"
#include "oci/state.h"

#include <event2/event.h>
#include <stddef.h>

/* Borrowed until `done` is called. */
struct host_hooks_config {
    const char *kind; /* names them in errors: "createRuntime" */
    Grpc__Hook *const *hooks;
    size_t count;
    const char *state;     /* JSON: oci_state_json */
    const char *directory; /* the bundle */
    struct cgroup *cgroup; /* held; NULL: they stay in the supervisor's */
};

struct host_hooks;

/* A file of the bundle while poststop hooks are due: for `delete`, should the supervisor die before. */
#define HOST_HOOKS_NOTE "poststop"

/* A hook that failed is the error; it quotes the end of what it wrote. */
typedef void host_hooks_done(void *context, struct error *error);
/* With a `warn` a failing hook is told of there, and the next one runs; `done` then has no error. */
typedef void host_hooks_warn(void *context, const struct error *error);

/* Runs them one after the other; `done` comes from the loop, also where there are none. */
struct host_hooks *host_hooks_run(struct event_base *base, const struct host_hooks_config *config,
    host_hooks_warn *warn, host_hooks_done *done, void *context);
/* Kills the one that runs; `done` is not called any more. Takes NULL; may be called from `done`. */
void host_hooks_free(struct host_hooks *hooks);

/* The same, blocking, with each failure a warning: for the shim's `delete`. */
void host_hooks_run_and_wait(const struct host_hooks_config *config, host_hooks_warn *warn, void *context);
