/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the end of a process in the guest to its report.
 *
 * The guest answers WaitProcess; then the last output has to reach its readers (state draining); only then is
 * the exit told and Wait answered. A container's first process is reported after its execs: they end with it,
 * but their answers may come later.
 */
#include "sandbox/container_host.h"

static bool is_reported(const struct process *process)
{
    return process->state >= PROCESS_STOPPED || process->state == PROCESS_CREATED;
}

static bool execs_are_reported(const struct container *container)
{
    struct process *process;
    TAILQ_FOREACH (process, &container->processes, entry) {
        bool given_up = container->exec_patience_over && process->state == PROCESS_STARTING;
        if (process->kind == PROCESS_EXECED && !given_up && !is_reported(process))
            return false;
    }
    return true;
}

static void end_late_execs(evutil_socket_t fd, short what, void *context)
{
    struct container *container = context;
    struct process *process;
    TAILQ_FOREACH (process, &container->processes, entry) {
        if (process->kind == PROCESS_EXECED && !is_reported(process))
            process_end(process, SANDBOX_LOST_STATUS, DRAIN_PATIENCE_LOST);
    }
    container->exec_patience_over = true;
    container_report_what_is_ready(container);
}

static void await_execs(struct container *container)
{
    static const struct timeval patience = {.tv_sec = EXEC_PATIENCE_SECONDS};
    if (container->exec_patience)
        return;
    container->exec_patience = sandbox_event_new(container->sandbox, end_late_execs, container);
    evtimer_add(container->exec_patience, &patience);
}

static void report(struct process *process)
{
    struct sandbox *sandbox = process->container->sandbox;
    const char *complaint = process->stdio ? stdio_complaint(process->stdio) : NULL;
    if (complaint)
        sandbox_remark(sandbox, "container %s: %s", process->container->id, complaint);
    stdio_free(TAKE_PTR(process->stdio));
    if (process->kind != PROCESS_EXECED)
        container_host_exited(process->container->host);
    process_set_state(process, PROCESS_STOPPED);
    sandbox_note(sandbox, "container %s: %s exited with status %u", process->container->id,
        process_agent_id(process), process->exit_status);
    sandbox_tell(sandbox, SANDBOX_EVENT_EXITED, process);
    process_answer_waiters(process);
}

void container_report_what_is_ready(struct container *container)
{
    struct sandbox *sandbox = container->sandbox;
    struct process *init = container_init(container);
    struct process *process;
    TAILQ_FOREACH (process, &container->processes, entry) {
        if (process->kind == PROCESS_EXECED && process->drained && process->state == PROCESS_DRAINING)
            report(process);
    }
    if (!init->drained || init->state != PROCESS_DRAINING) {
        sandbox_check_shutdown(sandbox);
    } else if (execs_are_reported(container)) {
        report(init);
        sandbox_container_ended(sandbox);
    } else {
        await_execs(container);
    }
}

static void drained(void *context, bool complete)
{
    struct process *process = context;
    struct container *container = process->container;
    if (!complete && !container->sandbox->lost_reason)
        sandbox_remark(container->sandbox,
            "container %s: the last output of %s was not read in time and is lost", container->id,
            process_agent_id(process));
    process->drained = true;
    container_report_what_is_ready(container);
}

void process_drain(struct process *process, uint32_t patience)
{
    process_set_state(process, PROCESS_DRAINING);
    stdio_process_ended(process->stdio, patience, drained, process);
}

void process_end(struct process *process, uint32_t exit_status, uint32_t patience)
{
    if (process->ended || process->state >= PROCESS_STOPPED)
        return;
    process->ended = true;
    process->exit_status = exit_status;
    clock_gettime(CLOCK_REALTIME, &process->exited_at);
    /* An exit can overtake the answer to Start, which then goes on from here. */
    if (process->state != PROCESS_STARTING)
        process_drain(process, patience);
}

static void exit_known(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct process *process = context;
    const Grpc__WaitProcessResponse *answer = (const Grpc__WaitProcessResponse *)response;
    bool connected = error_code(error) != ERROR_CANCELLED && error_code(error) != ERROR_UNAVAILABLE;
    if (process->container && error && connected)
        sandbox_remark(process->container->sandbox, "container %s: waiting for %s: %s",
            process->container->id, process_agent_id(process), error_message(error));
    /* A lost connection is the business of loss.c, which knows the reason. */
    if (process->container && connected)
        process_end(process, answer ? (uint32_t)answer->status : SANDBOX_LOST_STATUS, DRAIN_PATIENCE);
    error_free(error);
    process_release(process);
}

void process_watch_exit(struct process *process)
{
    process_hold(process);
    agent_wait_process(process->container->sandbox->agent, process->container->id, process_agent_id(process),
        exit_known, process);
}
