/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a machine ends.
 *
 * On purpose: nothing in it is of use any more (sandbox_container_ended), or the sandbox is shut down. The
 * machine is killed, unless it holds data of the host that must be written back first: then the guest powers
 * itself off, and is killed when it takes too long.
 *
 * By accident: the hypervisor, the agent or a file server is gone. Whoever notices notes the reason and wakes
 * lost_soon, which ends every process with SANDBOX_LOST_STATUS and writes the reason into the bundles. An
 * agent that falls silent is often the first sign of a guest that panicked, so the machine gets a moment to
 * say so itself.
 */
#include "sandbox/container_host.h"

static void wake(struct event *event)
{
    event_active(event, EV_TIMEOUT, 0);
}

static void wake_after(struct event *event, unsigned milliseconds)
{
    struct timeval delay = {milliseconds / 1000, milliseconds % 1000 * 1000};
    evtimer_add(event, &delay);
}

/* The first reason is the one that counts, and none counts for a machine that is being stopped. */
static void note_loss(struct sandbox *sandbox, const char *reason)
{
    bool wanted = sandbox->state != SANDBOX_RUNNING && sandbox->state != SANDBOX_CREATING;
    if (!wanted && !sandbox->lost_reason)
        sandbox->lost_reason = must_copy(reason);
    wake(sandbox->lost_soon);
}

static void machine_stopped(void *context, const struct error *reason)
{
    struct sandbox *sandbox = context;
    sandbox->machine_ended = true;
    note_loss(sandbox, reason ? error_message(reason) : "the virtual machine powered itself off");
}

static bool guest_connects(void *context, uint32_t port, struct hv_joined *ret_joined)
{
    const struct sandbox *sandbox = context;
    return sandbox->host_sockets && host_sockets_connect(sandbox->host_sockets, port, ret_joined);
}

const struct hv_events sandbox_hv_events = {.stopped = machine_stopped, .incoming = guest_connects};

void sandbox_agent_closed(void *context, const struct error *reason)
{
    struct sandbox *sandbox = context;
    if (sandbox->state == SANDBOX_RUNNING || sandbox->state == SANDBOX_CREATING)
        wake_after(sandbox->last_words, LAST_WORDS_MILLISECONDS);
}

static void no_last_words(evutil_socket_t fd, short what, void *context)
{
    note_loss(context, "the agent in the virtual machine is gone");
}

void sandbox_storage_failed(void *context, const struct error *reason)
{
    note_loss(context, error_message(reason));
}

/* ---- acting on it ---- */

static void lose_process(struct process *process)
{
    if (process->state == PROCESS_STARTING) {
        process_fail_start(process);
        return;
    }
    if (process->kind == PROCESS_EXECED && process->state == PROCESS_CREATED)
        return;
    if (process->state == PROCESS_DRAINING)
        stdio_hurry(process->stdio, DRAIN_PATIENCE_LOST);
    process_end(process, SANDBOX_LOST_STATUS, DRAIN_PATIENCE_LOST);
}

static void lose_containers(struct sandbox *sandbox)
{
    struct container *container;
    struct process *process;
    TAILQ_FOREACH (container, &sandbox->containers, entry) {
        if (container_init(container)->state < PROCESS_STOPPED && !container_init(container)->ended) {
            container_write_file(container, "reason", sandbox->lost_reason);
            sandbox_remark(sandbox, "container %s: %s", container->id, sandbox->lost_reason);
        }
        TAILQ_FOREACH (process, &container->processes, entry)
            lose_process(process);
    }
}

static bool all_reported(const struct sandbox *sandbox)
{
    struct container *container;
    struct process *process;
    TAILQ_FOREACH (container, &sandbox->containers, entry) {
        TAILQ_FOREACH (process, &container->processes, entry) {
            if (process->state > PROCESS_CREATED && process->state < PROCESS_STOPPED)
                return false;
        }
    }
    return true;
}

void sandbox_check_shutdown(struct sandbox *sandbox)
{
    bool down = sandbox->state == SANDBOX_EMPTY || sandbox->state == SANDBOX_STOPPED;
    if (sandbox->shutdown_done && down && all_reported(sandbox) && !sandbox_says_farewell(sandbox))
        wake(sandbox->shutdown_soon);
}

void sandbox_release_machine(struct sandbox *sandbox)
{
    evtimer_del(sandbox->last_words);
    evtimer_del(sandbox->stop_late);
    evtimer_del(sandbox->lost_soon);
    agent_free(TAKE_PTR(sandbox->agent));
    hv_free(TAKE_PTR(sandbox->hv));
    forward_free(TAKE_PTR(sandbox->forward));
    host_sockets_free(TAKE_PTR(sandbox->host_sockets));
    net_free(TAKE_PTR(sandbox->net));
    storage_free(TAKE_PTR(sandbox->storage));
}

/* Those that wait for something of the host: without the machine it comes too late. */
static void fail_parked_starts(struct sandbox *sandbox)
{
    struct container *container;
    struct process *process;
    TAILQ_FOREACH (container, &sandbox->containers, entry) {
        TAILQ_FOREACH (process, &container->processes, entry)
            process_fail_start(process);
    }
}

static void finish_deletions(struct sandbox *sandbox)
{
    struct container *next = TAILQ_FIRST(&sandbox->containers);
    while (next) {
        struct container *container = next;
        next = TAILQ_NEXT(container, entry);
        if (container->deletion)
            deletion_machine_gone(container->deletion);
    }
}

/* What the hypervisor still has of the streams stays in their sockets, so it may go before they are drained.
 */
static void machine_is_gone(struct sandbox *sandbox)
{
    sandbox_release_machine(sandbox);
    if (sandbox->state == SANDBOX_STOPPING) {
        sandbox_set_state(sandbox, SANDBOX_STOPPED);
        sandbox->observer->stopped(sandbox->context);
    }
    fail_parked_starts(sandbox);
    finish_deletions(sandbox);
    sandbox_check_shutdown(sandbox);
}

static void lost(evutil_socket_t fd, short what, void *context)
{
    struct sandbox *sandbox = context;
    bool ran = sandbox->state == SANDBOX_RUNNING && sandbox->lost_reason;
    if (ran)
        sandbox_set_state(sandbox, SANDBOX_STOPPING);
    if (sandbox->lost_reason)
        creation_cancel_all(sandbox, ERROR_UNAVAILABLE, sandbox->lost_reason);
    if (ran) {
        lose_containers(sandbox);
        machine_is_gone(sandbox);
    } else if (sandbox->machine_ended) {
        machine_is_gone(sandbox);
    }
}

static void stop_late(evutil_socket_t fd, short what, void *context)
{
    machine_is_gone(context);
}

static void power_off_asked(void *context, struct error *error, const ProtobufCMessage *response)
{
    error_free(error);
}

static void stop_machine(struct sandbox *sandbox)
{
    if (sandbox->state != SANDBOX_RUNNING)
        return;
    sandbox_set_state(sandbox, SANDBOX_STOPPING);
    wake_after(sandbox->stop_late, POWER_OFF_MILLISECONDS);
    if (sandbox->holds_data)
        agent_destroy_sandbox(sandbox->agent, power_off_asked, NULL);
    else
        hv_stop(sandbox->hv);
}

/* A pod's sandbox container keeps the machine until it is deleted, any other only while it lives. */
static bool keeps_machine(const struct container *container)
{
    enum process_state state = container_init(container)->state;
    return state < (container->kind == CONTAINER_SANDBOX ? PROCESS_DELETED : PROCESS_STOPPED);
}

bool sandbox_is_kept(const struct sandbox *sandbox, const struct container *except)
{
    struct container *container;
    TAILQ_FOREACH (container, &sandbox->containers, entry) {
        if (container != except && keeps_machine(container))
            return true;
    }
    return sandbox->held;
}

void sandbox_container_ended(struct sandbox *sandbox)
{
    if (!sandbox_is_kept(sandbox, NULL))
        stop_machine(sandbox);
    sandbox_check_shutdown(sandbox);
}

/* ---- shutdown ---- */

static bool any_lives(const struct sandbox *sandbox)
{
    struct container *container;
    TAILQ_FOREACH (container, &sandbox->containers, entry) {
        if (container_init(container)->state < PROCESS_STOPPED)
            return true;
    }
    return false;
}

static void shut_down(evutil_socket_t fd, short what, void *context)
{
    struct sandbox *sandbox = context;
    sandbox_done *done = sandbox->shutdown_done;
    sandbox->shutdown_done = NULL;
    sandbox_leave_cgroup(sandbox);
    if (done)
        done(sandbox->shutdown_context, NULL);
}

void sandbox_shutdown(struct sandbox *sandbox, sandbox_done *done, void *context)
{
    creation_cancel_all(sandbox, ERROR_CANCELLED, "the sandbox was shut down");
    sandbox->held = false;
    sandbox->shutdown_done = done;
    sandbox->shutdown_context = context;
    if (sandbox->state == SANDBOX_RUNNING && any_lives(sandbox))
        note_loss(sandbox, "the sandbox was shut down");
    else
        stop_machine(sandbox);
    sandbox_check_shutdown(sandbox);
}

void sandbox_loss_events(struct sandbox *sandbox)
{
    sandbox->lost_soon = sandbox_event_new(sandbox, lost, sandbox);
    sandbox->last_words = sandbox_event_new(sandbox, no_last_words, sandbox);
    sandbox->stop_late = sandbox_event_new(sandbox, stop_late, sandbox);
    sandbox->shutdown_soon = sandbox_event_new(sandbox, shut_down, sandbox);
}
