/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A person, or a pipeline, joined to one process of a container: standard streams, terminal, signals, exit.
 *
 *     attach_new      before the process is started, so that a mistake in the options shows early
 *     attach_begin    once it is started: streams flow, the terminal is raw, signals go to the process
 *     attach_run      until it has exited and its output is written, or the person detached
 */
#pragma once

#include "client/fifo.h"
#include "client/signals.h"
#include "client/task.h"

#include <stdbool.h>

struct attach;

struct attach_options {
    struct event_base *base;
    struct task *task;
    struct fifos *fifos;
    struct signals *signals;
    const char *exec_id;     /* NULL: the container's own process */
    const char *detach_keys; /* NULL: cannot be detached */
};

enum attach_end {
    ATTACH_EXITED,   /* exit is set */
    ATTACH_DETACHED, /* the process runs on */
    ATTACH_LOST,     /* the shim is gone */
};

struct attach_result {
    enum attach_end end;
    struct task_exit exit;
    struct error *failure; /* a stream on this side failed (a full disk); owned by the caller; or NULL */
};

/* INVALID_ARGUMENT for detach keys that are none. The options are copied; all that they name is borrowed. */
struct error *attach_new(const struct attach_options *options, struct attach **ret_attach);
struct error *attach_begin(struct attach *attach);
/* The terminal is as it was when this returns. */
struct error *attach_run(struct attach *attach, struct attach_result *ret_result);
/* Takes NULL. */
void attach_free(struct attach *attach);
DEFINE_CLEANUP(struct attach *, attach_free);
#define _cleanup_attach_ _cleanup_(attach_free)

/* Forks a process that goes on reading the fifos' output into the log, so that a detached process is not
   stopped by a full pipe. It ends with the output. */
struct error *attach_leave_log_keeper(struct fifos *fifos, const char *log_path);
