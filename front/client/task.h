/* SPDX-License-Identifier: Apache-2.0 */
/*
 * containerd's Task API (containerd.task.v2.Task) as typed calls on one container.
 *
 * A call runs the event loop until its answer is there, so other events are served meanwhile; one of them may
 * call task_interrupt, which ends the waiting with CANCELLED (the shim may still carry the call out). exec_id
 * is NULL for the container's own process.
 */
#pragma once

#include "client/shim.h"
#include "proto/cgroup2.pb-c.h"
#include "proto/task.pb-c.h"

#include <stddef.h>
#include <stdint.h>

struct task;

/* Connects to the shim at the address. */
struct error *task_connect(
    struct event_base *base, const char *id, const char *address, struct task **ret_task);
/* Connects to the running shim of the container: NOT_FOUND or UNAVAILABLE where there is none. */
struct error *task_open(
    struct event_base *base, const struct directories *directories, const char *id, struct task **ret_task);
/* Takes NULL. */
void task_free(struct task *task);
DEFINE_CLEANUP(struct task *, task_free);
#define _cleanup_task_ _cleanup_(task_free)

/* From now on each call that waits, or would wait, ends with CANCELLED; false allows calls again. */
void task_interrupt(struct task *task, bool interrupted);
/* How long a call may take from now on, in milliseconds; 0, as at first, is without end. */
void task_set_timeout(struct task *task, uint64_t timeout);

/* Where a process's streams go: a fifo's path, file:///path to append to, or "" for nowhere. */
struct task_io {
    const char *input;
    const char *output;
    const char *errors;
    bool terminal;
};

/* The root file system, mounted read-only below a writable layer. */
struct task_rootfs {
    const char *type;
    const char *source;
};

struct task_exit {
    uint32_t status;
    int64_t at; /* milliseconds since 1970 */
};

struct task_state {
    Task__Status status;
    uint32_t pid;
    struct task_exit exit;
};

struct error *task_create(
    struct task *task, const char *bundle, const struct task_rootfs *rootfs, const struct task_io *io);
/* process: the JSON of an OCI process. */
struct error *task_exec(
    struct task *task, const char *exec_id, const char *process, const struct task_io *io);
struct error *task_start(struct task *task, const char *exec_id);
struct error *task_wait(struct task *task, const char *exec_id, struct task_exit *ret_exit);
/* NOT_FOUND where the process is gone already. */
struct error *task_kill(struct task *task, const char *exec_id, uint32_t signal, bool all);
struct error *task_delete(struct task *task, const char *exec_id, struct task_exit *ret_exit);
struct error *task_read_state(struct task *task, const char *exec_id, struct task_state *ret_state);
struct error *task_pause(struct task *task);
struct error *task_resume(struct task *task);
struct error *task_resize(struct task *task, const char *exec_id, uint32_t columns, uint32_t rows);
struct error *task_close_input(struct task *task, const char *exec_id);
/* The shim's process id. */
struct error *task_shim_pid(struct task *task, pid_t *ret_pid);
/* Ends the shim; without `now` only when no container is left in it. A shim that is gone is no error. */
struct error *task_shutdown(struct task *task, bool now);
/* Freed with cgroup2__metrics__free_unpacked(metrics, NULL). */
struct error *task_stats(struct task *task, Cgroup2__Metrics **ret_metrics);

/* One of error (owned by the callee) and exit is set. */
typedef void task_waited(void *context, struct error *error, const struct task_exit *exit);
/* Calls back once from the loop, and with CANCELLED from task_free when the process runs on. */
void task_wait_begin(struct task *task, const char *exec_id, task_waited *waited, void *context);
/* Sent without waiting for the answer. */
void task_kill_begin(struct task *task, const char *exec_id, uint32_t signal);
void task_resize_begin(struct task *task, const char *exec_id, uint32_t columns, uint32_t rows);
void task_close_input_begin(struct task *task, const char *exec_id);
