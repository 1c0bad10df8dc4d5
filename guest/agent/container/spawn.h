/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child of the agent in new namespaces and in its cgroup from its first instruction on.
 */
#pragma once

#include "agent/container/container.h"
#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

struct spawn_options {
    uint64_t namespaces; /* CLONE_NEW* */
    int cgroup;          /* directory descriptor; -1: the agent's own */
    int pid_namespace;   /* descriptor of the pid namespace to be born into; -1: as `namespaces` says */
    struct container_streams streams; /* become 0, 1, 2 */
    int companion;                    /* a further descriptor that the child needs; -1: none */
};

/* What the child does; does not return. The descriptors are the child's only ones beyond 2, both
   close-on-exec; `companion` is -1 where none was given. */
typedef void spawn_body(void *context, int channel, int companion);

struct spawned {
    pid_t pid;
    int pidfd;
    int channel;
};

/* The errno of clone3 stays in the error. */
struct error *spawn(
    const struct spawn_options *options, spawn_body *body, void *context, struct spawned *ret_spawned);
/* Closes the descriptors; kills and reaps the child. */
void spawned_abandon(struct spawned *spawned);
