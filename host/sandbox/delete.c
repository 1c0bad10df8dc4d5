/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/model.h"

#include <string.h>

struct deletion {
    struct process *process;
    struct container *container;
    process_deleted *done;
    void *context;
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
    process_set_state(process, PROCESS_STOPPED);
    sandbox_tell(process->container->sandbox, SANDBOX_EVENT_EXITED, process);
    process_answer_waiters(process);
}

static void finish(struct deletion *deletion)
{
    struct container *container = deletion->container;
    struct sandbox *sandbox = container->sandbox;
    struct process_status status = process_status(deletion->process);
    sandbox_tell(sandbox, SANDBOX_EVENT_DELETED, deletion->process);
    deletion->done(deletion->context, NULL, &status);
    container_free(container);
    free(deletion);
    sandbox_container_ended(sandbox);
}

static void removed(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct deletion *deletion = context;
    if (error_code(error) != ERROR_OK && error_code(error) != ERROR_NOT_FOUND)
        sandbox_remark(deletion->container->sandbox, "container %s: removing it from the guest: %s",
            deletion->container->id, error_message(error));
    error_free(error);
    finish(deletion);
}

/* The guest need not tidy up after a container that the machine ends with. */
static void delete_init(struct process *process, process_deleted *done, void *context)
{
    struct container *container = process->container;
    if (process->state == PROCESS_CREATED)
        end_unstarted(process);
    process_set_state(process, PROCESS_DELETED);
    struct deletion *deletion = must_new(struct deletion);
    *deletion =
        (struct deletion){.process = process, .container = container, .done = done, .context = context};
    _cleanup_error_ struct error *unusable = sandbox_check_usable(container->sandbox);
    if (!unusable && sandbox_is_kept(container->sandbox, container))
        agent_remove_container(container->sandbox->agent, container->id, removed, deletion);
    else
        finish(deletion);
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
