/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last stretch of a child on its way to the command that it was made for: limits, user, capabilities,
 * seccomp, exec. The same for a container's init and for a later process.
 */
#pragma once

#include "agent/container/seccomp.h"
#include "base/error.h"
#include "proto/oci.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process_setup {
    const Grpc__Process *process;
    const Grpc__LinuxCapabilities *capabilities; /* NULL: none */
    Grpc__POSIXRlimit *const *rlimits;
    size_t rlimit_count;
    bool limit_early; /* before a user namespace is entered, where limits can no longer be raised */
    int64_t oom_score_adj;
    const struct seccomp_filter *filter; /* NULL: none */
    const char *home;                    /* set by process_confine: HOME where the environment has none */
};

/* The out-of-memory score and I/O priority, and the resource limits if these are to come early: of this
   process (pid 0), or by the agent of a child that is in a user namespace already. Else the limits come as
   late as can be, with process_confine, for the way there needs some descriptors. */
struct error *process_limit(const struct process_setup *setup, pid_t pid);

/* In the container's root. All that can be done before the command is looked up; afterwards the process is
   the user's. Without no_new_privs the seccomp filter is in force from here on. */
struct error *process_confine(struct process_setup *setup);

/* After process_confine: whether the command is there and may be executed, as far as can be told without
   doing it. Errors and words as process_exec. */
struct error *process_look_up(const struct process_setup *setup);

/* Becomes the command; returns only with an error. NOT_FOUND and PERMISSION_DENIED as container_start says.
 */
struct error *process_exec(const struct process_setup *setup) __attribute__((returns_nonnull));
/* A copy that ends with NULL, as execve takes it. */
char **process_vector(const char *const *texts, size_t count);
/* What a child exits with that could not become its command: 127, 126, or 125. */
int process_failure_code(const struct error *error);
/* The filter of a process with no_new_privs, as late as can be. */
struct error *process_install_late_filter(const struct process_setup *setup);
