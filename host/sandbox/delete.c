/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleting a process.
 *
 * A container goes in the order in which it came, backwards: out of the guest, its storage away, the hooks of
 * the host, its stand-in, then answered. Where the machine ends with it, the guest need not tidy up, but what
 * it has still to write back (sandbox->holds_data) is waited for: whoever deletes a container reads its files
 * next.
 */
#include "sandbox/container_host.h"

#include <string.h>

struct deletion {
    struct container *container;
    process_deleted *done;
    void *context;
    bool awaits_machine;
};

/* A container's creation is interrupted: there is nothing to remove afterwards. */
static void delete_creating(struct process *process, process_deleted *done, void *context)
{
    struct container *container = process->container;
    _cleanup_free_ char *id = must_copy(container->id);
    struct process_status status = {.container_id = id,
        .exec_id = "",
        .bundle = "",
        .in = "",
        .out = "",
        .error = "",
        .state = PROCESS_DELETED,
        .exit_status = SANDBOX_LOST_STATUS};
    clock_gettime(CLOCK_REALTIME, &status.exited_at);
    creation_cancel(container->creation, error_new(ERROR_CANCELLED, "it was deleted"));
    done(context, NULL, &status);
}

static void delete_exec(struct process *process, process_deleted *done, void *context)
{
    struct process_status status = process_status(process);
    process_hold(process);
    done(context, NULL, &status);
    process_unlist(process);
    process_release(process);
}

/* It was created and never ran: its exit is told as that of any other. */
static void end_unstarted(struct process *process)
{
    process->ended = true;
    process->exit_status = SANDBOX_LOST_STATUS;
    clock_gettime(CLOCK_REALTIME, &process->exited_at);
    container_host_exited(process->container->host);
    process_set_state(process, PROCESS_STOPPED);
    sandbox_tell(process->container->sandbox, SANDBOX_EVENT_EXITED, process);
    process_answer_waiters(process);
}

static void finish(struct deletion *deletion)
{
    struct container *container = deletion->container;
    struct sandbox *sandbox = container->sandbox;
    struct process *init = container_init(container);
    struct process_status status = process_status(init);
    sandbox_tell(sandbox, SANDBOX_EVENT_DELETED, init);
    deletion->done(deletion->context, NULL, &status);
    container->deletion = NULL;
    container_free(container);
    free(deletion);
    sandbox_check_shutdown(sandbox);
}

static void host_is_away(void *context, struct error *error)
{
    error_free(error);
    finish(context);
}

static void leave_host(struct deletion *deletion)
{
    container_host_end(deletion->container->host, host_is_away, deletion);
}

static void storage_is_away(void *context, struct error *error)
{
    struct deletion *deletion = context;
    if (error)
        sandbox_remark(deletion->container->sandbox, "container %s: removing its storage: %s",
            deletion->container->id, error_message(error));
    error_free(error);
    deletion->awaits_machine = false;
    leave_host(deletion);
}

static void left_guest(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct deletion *deletion = context;
    struct container *container = deletion->container;
    if (error_code(error) != ERROR_OK && error_code(error) != ERROR_NOT_FOUND)
        sandbox_remark(container->sandbox, "container %s: removing it from the guest: %s", container->id,
            error_message(error));
    error_free(error);
    if (!container->storage) {
        leave_host(deletion);
        return;
    }
    /* Or the machine is lost first, and its storage with it, without a word. */
    deletion->awaits_machine = true;
    container_storage_remove(TAKE_PTR(container->storage), storage_is_away, deletion);
}

void deletion_machine_gone(struct deletion *deletion)
{
    if (!deletion->awaits_machine)
        return;
    deletion->awaits_machine = false;
    leave_host(deletion);
}

void deletion_abandon(struct deletion *deletion)
{
    deletion->done(deletion->context, error_new(ERROR_CANCELLED, "the supervisor ends"), NULL);
    free(deletion);
}

static void delete_init(struct process *process, process_deleted *done, void *context)
{
    struct container *container = process->container;
    struct sandbox *sandbox = container->sandbox;
    if (process->state == PROCESS_CREATED)
        end_unstarted(process);
    process_set_state(process, PROCESS_DELETED);
    struct deletion *deletion = container->deletion = must_new(struct deletion);
    *deletion = (struct deletion){.container = container, .done = done, .context = context};
    sandbox_container_ended(sandbox);
    if (sandbox->state == SANDBOX_RUNNING)
        agent_remove_container(sandbox->agent, container->id, left_guest, deletion);
    else if (sandbox->state == SANDBOX_STOPPING && sandbox->holds_data)
        deletion->awaits_machine = true;
    else
        leave_host(deletion);
}

void process_delete(struct process *process, process_deleted *done, void *context)
{
    struct error *error = process_check(process, PROCESS_DELETE);
    if (error)
        done(context, error, NULL);
    else if (process->kind == PROCESS_EXECED)
        delete_exec(process, done, context);
    else if (process->state == PROCESS_CREATING)
        delete_creating(process, done, context);
    else
        delete_init(process, done, context);
}
