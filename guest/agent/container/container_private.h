/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container consists of; for the files of this folder only.
 */
#pragma once

#include "agent/container/cgroup.h"
#include "agent/container/container.h"
#include "agent/container/hook.h"
#include "agent/container/namespaces.h"
#include "agent/container/process.h"

#include <linux/sched.h>

/* With a user namespace only this much is made by the clone, and the rest by its root. */
#define CONTAINER_CLONED_WITH_USER ((uint64_t)(CLONE_NEWUSER | CLONE_NEWPID))

struct container {
    char *id;
    char *bundle;
    char *cgroup_root;
    Grpc__Spec *spec;
    struct namespaces namespaces;
    int pid_namespace; /* of the sandbox; -1: its own or the guest's. Borrowed during container_create */
    bool has_pid_namespace;
    bool init;
    struct cgroup *cgroup;
    struct seccomp_filter *filter;
    pid_t init_pid;
    int init_pidfd;
    int channel; /* to the init process until it has become the command; -1 afterwards */
    int oom_fd;
    bool paused;
};

struct process_setup container_process_setup(const struct container *container, const Grpc__Process *process);
struct oci_state container_hook_state(const struct container *container, const char *status, pid_t pid);

/* What the child of container_create does (spawn_body); context is the container. */
void container_init_child(void *context, int channel, int companion);
