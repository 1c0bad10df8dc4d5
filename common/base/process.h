/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child processes: started with exactly the descriptors they are given, waited for by events (pidfd).
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A descriptor of this process and its number in the child. */
struct process_fd {
    int fd;
    int child_fd;
};

/* Runs in the child between fork and exec; returns 0 or an errno, which becomes the error of process_spawn.
   Only async-signal-safe calls. */
typedef int process_prepare(void *context);

struct process_options {
    char *const *arguments;       /* [0] is searched in PATH unless it has a slash */
    const char *program;          /* what is run in place of arguments[0]; NULL: that */
    char *const *environment;     /* NULL: inherited */
    const char *directory;        /* working directory, or NULL */
    const struct process_fd *fds; /* 0, 1 and 2 are /dev/null where not given; all others are closed */
    size_t fd_count;
    bool new_session;         /* setsid */
    unsigned namespaces;      /* CLONE_NEW* that the child begins in; 0: the parent's */
    bool die_with_parent;     /* SIGKILL when the thread that spawned it ends */
    process_prepare *prepare; /* NULL: nothing to prepare */
    void *prepare_context;
};

/* A started process. Signals are reset to their defaults and unblocked in it. A failing exec is reported here
   (NOT_FOUND where there is no such program). */
struct error *process_spawn(const struct process_options *options, pid_t *ret_pid);

/* Status as wait(2) gives it. */
typedef void process_exited(void *context, int status);
struct process_watch;
/* Reaps the child when it exits and then calls back, once, from the event loop. */
struct error *process_watch_new(
    struct event_base *base, pid_t pid, process_exited *exited, void *context, struct process_watch **ret);
pid_t process_watch_pid(const struct process_watch *watch);
/* Stops watching; does not end the process. Takes NULL. */
void process_watch_free(struct process_watch *watch);

struct process_result {
    int status; /* as wait(2) gives it */
    char *output;
    size_t output_length;
    char *errors; /* the last 4 KiB of standard error, NUL-terminated */
};
void process_result_clear(struct process_result *result);

/* Runs to the end and collects the output (at most output_limit bytes). Blocks; for front ends and tools. */
struct error *process_run(
    const struct process_options *options, size_t output_limit, struct process_result *ret_result);
/* As process_run, and an exit status other than 0 is an error that quotes the last line of stderr. */
struct error *process_run_checked(
    const struct process_options *options, size_t output_limit, char **ret_output);

/* 128 + signal for a killed process, else its exit code. */
int process_exit_code(int status);
