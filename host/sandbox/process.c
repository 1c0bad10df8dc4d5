/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/model.h"
#include "sandbox/network.h"

#include <assert.h>
#include <string.h>

struct process *process_new(struct container *container, const char *exec_id, const char *in, const char *out,
    const char *error, bool terminal)
{
    struct process *process = must_new(struct process);
    *process = (struct process){.references = 1,
        .container = container,
        .kind = *exec_id ? PROCESS_EXECED : PROCESS_INIT,
        .exec_id = must_copy(exec_id),
        .in = must_copy(in ? in : ""),
        .out = must_copy(out ? out : ""),
        .error = must_copy(error ? error : ""),
        .terminal = terminal,
        .pid = container_pid(container)};
    TAILQ_INIT(&process->waiters);
    TAILQ_INSERT_TAIL(&container->processes, process, entry);
    return process;
}

void process_hold(struct process *process)
{
    process->references++;
}

void process_release(struct process *process)
{
    if (--process->references > 0)
        return;
    stdio_free(process->stdio);
    oci_process_free(process->spec);
    free(process->exec_id);
    free(process->in);
    free(process->out);
    free(process->error);
    free(process);
}

void process_set_state(struct process *process, enum process_state state)
{
    assert(process_may_become(process->state, state));
    process->state = state;
}

struct error *process_check(const struct process *process, enum process_call call)
{
    return refusal_error(process_refusal(process->kind, process->state, call));
}

struct error *process_open_stdio(struct process *process)
{
    struct sandbox *sandbox = process->container->sandbox;
    struct stdio_options options = {.in = process->in,
        .out = process->out,
        .error = process->error,
        .terminal = process->terminal,
        .style = sandbox->options.stdio_style,
        .loggers = sandbox->options.loggers,
        .container_id = process->container->id,
        .exec_id = process->exec_id};
    return stdio_new(sandbox->base, &options, &process->stdio);
}

/* Kata's runtime gives the first process of a container the container's id. */
const char *process_agent_id(const struct process *process)
{
    return process->kind == PROCESS_INIT ? process->container->id : process->exec_id;
}

struct process_status process_status(const struct process *process)
{
    return (struct process_status){.container_id = process->container->id,
        .exec_id = process->exec_id,
        .bundle = process->container->bundle,
        .in = process->in,
        .out = process->out,
        .error = process->error,
        .terminal = process->terminal,
        .state = process->state,
        .pid = process->pid,
        .exit_status = process->exit_status,
        .exited_at = process->exited_at};
}

/* ---- wait ---- */

void process_wait(struct process *process, process_waited *done, void *context)
{
    if (process->state >= PROCESS_STOPPED) {
        struct process_status status = process_status(process);
        done(context, &status);
        return;
    }
    struct waiter *waiter = must_new(struct waiter);
    *waiter = (struct waiter){.done = done, .context = context};
    TAILQ_INSERT_TAIL(&process->waiters, waiter, entry);
}

void process_answer_waiters(struct process *process)
{
    struct process_status status = process_status(process);
    struct waiter *waiter;
    while ((waiter = TAILQ_FIRST(&process->waiters))) {
        TAILQ_REMOVE(&process->waiters, waiter, entry);
        waiter->done(waiter->context, &status);
        free(waiter);
    }
}

void process_unlist(struct process *process)
{
    process_fail_start(process);
    if (process->state < PROCESS_STOPPED && !process->ended) {
        process->exit_status = SANDBOX_LOST_STATUS;
        clock_gettime(CLOCK_REALTIME, &process->exited_at);
    }
    process_answer_waiters(process);
    TAILQ_REMOVE(&process->container->processes, process, entry);
    process->state = PROCESS_DELETED;
    stdio_free(TAKE_PTR(process->stdio));
    process->container = NULL;
    process_release(process);
}

/* ---- start ---- */

struct start {
    struct process *process;
    sandbox_done *done;
    void *context;
};

/* As a shell says it: 127 there is no such command, 126 it cannot be executed. */
static uint32_t status_of_failed_start(const struct error *error)
{
    switch (error_code(error)) {
    case ERROR_NOT_FOUND:
        return 127;
    case ERROR_PERMISSION_DENIED:
        return 126;
    default:
        return 128;
    }
}

/* It never ran, so there is no exit event; whoever waits is answered. */
static void start_failed(struct process *process, const struct error *error)
{
    process->ended = true;
    process->exit_status = status_of_failed_start(error);
    clock_gettime(CLOCK_REALTIME, &process->exited_at);
    process_set_state(process, PROCESS_STOPPED);
    stdio_free(TAKE_PTR(process->stdio));
    process_answer_waiters(process);
}

static void note_first_start(struct process *process)
{
    struct sandbox *sandbox = process->container->sandbox;
    timeline_mark(&sandbox->timeline, "started");
    _cleanup_free_ char *text = timeline_json(&sandbox->timeline);
    container_write_file(process->container, "timings.json", text);
}

static void start_succeeded(struct process *process)
{
    struct sandbox *sandbox = process->container->sandbox;
    bool init = process->kind == PROCESS_INIT;
    process_set_state(process, PROCESS_RUNNING);
    sandbox_tell(sandbox, init ? SANDBOX_EVENT_STARTED : SANDBOX_EVENT_EXEC_STARTED, process);
    if (init)
        note_first_start(process);
    else
        process_watch_exit(process);
    if (process->ended)
        process_drain(process, DRAIN_PATIENCE);
}

/* An exec whose container's end was told without it: it cannot begin afterwards. */
static bool comes_too_late(const struct process *process)
{
    return process->state == PROCESS_STARTING && process->kind == PROCESS_EXECED &&
           process->container->exec_patience_over;
}

static void finish_start(struct start *start, struct error *error)
{
    struct process *process = start->process;
    process->parked = NULL;
    if (!error && comes_too_late(process))
        error = error_new(ERROR_FAILED_PRECONDITION, "the container has ended");
    if (process->state == PROCESS_STARTING && error)
        start_failed(process, error);
    else if (process->state == PROCESS_STARTING)
        start_succeeded(process);
    start->done(start->context, error);
    /* The container's end may have waited for what became of this start. */
    if (process->container)
        container_report_what_is_ready(process->container);
    process_release(process);
    free(start);
}

/* The connection to the agent is gone, or was given up. Why, loss.c knows or will soon know. */
static bool is_lost(const struct error *error)
{
    return error_code(error) == ERROR_UNAVAILABLE || error_code(error) == ERROR_CANCELLED;
}

static void started(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct start *start = context;
    struct process *process = start->process;
    struct sandbox *sandbox = process->container ? process->container->sandbox : NULL;
    if (process->state == PROCESS_STARTING && is_lost(error) && sandbox->state == SANDBOX_RUNNING) {
        process->parked = start;
        error_free(error);
        sandbox_agent_closed(sandbox, NULL);
        return;
    }
    if (process->state == PROCESS_STARTING && is_lost(error) && sandbox->lost_reason) {
        error_free(error);
        error = sandbox_check_usable(sandbox);
    }
    finish_start(start, error);
}

void process_fail_start(struct process *process)
{
    if (!process->parked)
        return;
    struct error *error = sandbox_check_usable(process->container->sandbox);
    finish_start(process->parked, error ? error : error_new(ERROR_UNAVAILABLE, "the sandbox is gone"));
}

static struct start *start_new(struct process *process, sandbox_done *done, void *context)
{
    struct start *start = must_new(struct start);
    *start = (struct start){.process = process, .done = done, .context = context};
    process_hold(process);
    return start;
}

static struct error *run_exec(struct start *start)
{
    struct process *process = start->process;
    struct sandbox *sandbox = process->container->sandbox;
    struct stdio_ports ports = {0};
    TRY(sandbox_check_usable(sandbox));
    TRY(stdio_connect(process->stdio, sandbox_connect_stream, sandbox, &ports));
    stdio_hold_input(process->stdio);
    Grpc__ExecProcessRequest request = GRPC__EXEC_PROCESS_REQUEST__INIT;
    request.container_id = process->container->id;
    request.exec_id = process->exec_id;
    request.process = process->spec;
    request.stdin_port = ports.in;
    request.stdout_port = ports.out;
    request.stderr_port = ports.error;
    agent_exec_process(sandbox->agent, &request, started, start);
    oci_process_free(TAKE_PTR(process->spec));
    return NULL;
}

static void exec_streams_ready(void *context, struct error *error)
{
    struct start *start = context;
    start->process->parked = NULL;
    if (!error)
        error = run_exec(start);
    if (error)
        finish_start(start, error);
}

/* Parked meanwhile: should its streams be taken down, somebody has to answer. */
static struct error *start_exec(struct process *process, struct start *start)
{
    TRY(process_open_stdio(process));
    process->parked = start;
    stdio_await_ready(process->stdio, exec_streams_ready, start);
    return NULL;
}

static void network_ready(void *context, struct error *error)
{
    struct start *start = context;
    const struct container *container = start->process->container;
    if (!error && container)
        agent_start_container(container->sandbox->agent, container->id, started, start);
    else
        started(start, error ? error : error_new(ERROR_CANCELLED, "the container was deleted"), NULL);
}

void process_start(struct process *process, sandbox_done *done, void *context)
{
    struct error *error = process_check(process, PROCESS_START);
    if (!error)
        error = sandbox_check_usable(process->container->sandbox);
    if (error) {
        done(context, error);
        return;
    }
    struct start *start = start_new(process, done, context);
    process_set_state(process, PROCESS_STARTING);
    if (process->kind == PROCESS_INIT) {
        stdio_hold_input(process->stdio);
        network_catch_up(
            process->container->sandbox->agent, process->container->sandbox->net, network_ready, start);
    } else if ((error = start_exec(process, start))) {
        started(start, error, NULL);
    }
}

/* ---- kill, close ---- */

struct signal_call {
    sandbox_done *done;
    void *context;
};

static void signalled(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct signal_call *call = context;
    if (error_code(error) == ERROR_NOT_FOUND || error_code(error) == ERROR_UNAVAILABLE ||
        error_code(error) == ERROR_CANCELLED) {
        error_free(error);
        error = error_new(ERROR_NOT_FOUND, "process already finished: not found");
    }
    call->done(call->context, error);
    free(call);
}

static void send_signal(struct process *process, uint32_t signal, bool all, sandbox_done *done, void *context)
{
    struct signal_call *call = must_new(struct signal_call);
    *call = (struct signal_call){.done = done, .context = context};
    agent_signal_process(process->container->sandbox->agent, process->container->id,
        all ? "" : process_agent_id(process), signal, signalled, call);
}

void process_kill(struct process *process, uint32_t signal, bool all, sandbox_done *done, void *context)
{
    struct sandbox *sandbox = process->container->sandbox;
    struct error *error = process_check(process, PROCESS_KILL);
    if (!error && process->state == PROCESS_CREATING) {
        creation_cancel(process->container->creation, error_new(ERROR_CANCELLED, "it was killed"));
        done(context, NULL);
        return;
    }
    if (!error && (error = sandbox_check_usable(sandbox))) {
        error_free(error);
        error = error_new(ERROR_NOT_FOUND, "process already finished: not found");
    }
    if (error)
        done(context, error);
    else
        send_signal(process, signal, all, done, context);
}

struct error *process_close_input(struct process *process)
{
    TRY(process_check(process, PROCESS_CLOSE_STDIN));
    if (process->stdio)
        stdio_close_input(process->stdio);
    return NULL;
}
