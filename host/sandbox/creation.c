/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/creation.h"

#include <string.h>

static void free_rootfs(struct creation *creation)
{
    for (size_t i = 0; i < creation->rootfs_count; i++) {
        struct sandbox_mount *mount = &creation->rootfs[i];
        free((char *)(uintptr_t)mount->type);
        free((char *)(uintptr_t)mount->source);
        for (size_t option = 0; option < mount->option_count; option++)
            free((char *)(uintptr_t)mount->options[option]);
        free((void *)(uintptr_t)mount->options);
    }
    free(creation->rootfs);
}

static void copy_mount(struct sandbox_mount *copy, const struct sandbox_mount *mount)
{
    const char **options = must_alloc_array(mount->option_count, sizeof(*options));
    for (size_t i = 0; i < mount->option_count; i++)
        options[i] = must_copy(mount->options[i]);
    *copy = (struct sandbox_mount){.type = must_copy(mount->type),
        .source = must_copy(mount->source),
        .options = options,
        .option_count = mount->option_count};
}

static void copy_rootfs(struct creation *creation, const struct sandbox_container *container)
{
    creation->rootfs_count = container->rootfs_count;
    creation->rootfs = must_alloc_array(container->rootfs_count, sizeof(*creation->rootfs));
    for (size_t i = 0; i < container->rootfs_count; i++)
        copy_mount(&creation->rootfs[i], &container->rootfs[i]);
}

static void creation_free(struct creation *creation)
{
    free_rootfs(creation);
    error_free(creation->result);
    oci_spec_free(creation->spec);
    guest_mounts_free(creation->mounts);
    event_free(creation->step_soon);
    free(creation);
}

struct container *creation_container(const struct creation *creation)
{
    return creation->container;
}

/* ---- walking the list ---- */

static bool is_skipped(const struct creation *creation, size_t step)
{
    return creation_steps[step].machine_only && !creation->with_machine;
}

static void undo_steps(struct creation *creation)
{
    for (size_t step = creation->step + 1; step-- > 0;)
        if (!is_skipped(creation, step) && creation_steps[step].undo)
            creation_steps[step].undo(creation);
}

/* Undoes everything and answers; takes the error. An answer of the agent may still be on its way afterwards,
   when the machine lives on: then the creation stays, as nobody's, until it has come. */
static void fail(struct creation *creation, struct error *error)
{
    struct sandbox *sandbox = creation->sandbox;
    const char *doing = creation_steps[creation->step].name;
    error = error_wrap(error, "creating container %s: %s", creation->container->id, doing);
    creation->undone = true;
    sandbox->creation = NULL;
    evtimer_del(creation->step_soon);
    undo_steps(creation);
    container_free(creation->container);
    if (creation->with_machine) {
        sandbox_release_machine(sandbox);
        free(TAKE_PTR(sandbox->lost_reason));
        sandbox->machine_ended = false;
        sandbox_set_state(sandbox, SANDBOX_EMPTY);
    }
    creation->done(creation->context, error);
    creation->orphaned = creation->waiting && creation_steps[creation->step].asks_agent && sandbox->agent;
    if (!creation->orphaned)
        creation_free(creation);
}

static void succeed(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    struct process *process = creation->process;
    sandbox->creation = NULL;
    if (creation->with_machine) {
        sandbox_set_state(sandbox, SANDBOX_RUNNING);
        sandbox_watch_memory(sandbox);
    }
    process->pid = sandbox_process_id(sandbox);
    process_set_state(process, PROCESS_CREATED);
    process_watch_exit(process);
    sandbox_tell(sandbox, SANDBOX_EVENT_CREATED, process);
    creation->done(creation->context, NULL);
    creation_free(creation);
}

static void begin_step(struct creation *creation)
{
    while (creation->step < creation_step_count && is_skipped(creation, creation->step))
        creation->step++;
    if (creation->step == creation_step_count) {
        succeed(creation);
        return;
    }
    creation->waiting = true;
    creation_steps[creation->step].start(creation);
}

/* From the loop, so that nothing is undone inside a callback of what is undone. */
static void step_ended(evutil_socket_t fd, short what, void *context)
{
    struct creation *creation = context;
    struct error *error = TAKE_PTR(creation->result);
    if (error) {
        fail(creation, error);
        return;
    }
    const char *mark = creation_steps[creation->step].mark;
    if (mark)
        timeline_mark(&creation->sandbox->timeline, mark);
    creation->step++;
    begin_step(creation);
}

void creation_step_done(struct creation *creation, struct error *error)
{
    creation->waiting = false;
    if (creation->undone) {
        error_free(error);
        if (creation->orphaned)
            creation_free(creation);
        return;
    }
    creation->result = error;
    event_active(creation->step_soon, EV_TIMEOUT, 0);
}

void creation_call_done(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct creation *creation = context;
    /* The agent is gone. Why, the machine may say in a moment: see loss.c. */
    if (!creation->undone && creation->with_machine && error_code(error) == ERROR_UNAVAILABLE) {
        error_free(error);
        sandbox_agent_closed(creation->sandbox, NULL);
        return;
    }
    creation_step_done(creation, error);
}

void creation_cancel(struct creation *creation, struct error *reason)
{
    fail(creation, reason);
}

static struct error *check_create(struct sandbox *sandbox, const struct sandbox_container *container)
{
    TRY(identifier_check("container id", container->id));
    if (sandbox_container(sandbox, container->id))
        return error_new(ERROR_ALREADY_EXISTS, "container %s: already exists", container->id);
    if (sandbox->lost_reason)
        return error_new(ERROR_UNAVAILABLE, "%s", sandbox->lost_reason);
    if (sandbox->creation)
        return refusal_error(sandbox_refusal(SANDBOX_CREATING, SANDBOX_CREATE));
    return refusal_error(sandbox_refusal(sandbox->state, SANDBOX_CREATE));
}

void sandbox_create(
    struct sandbox *sandbox, const struct sandbox_container *container, sandbox_done *done, void *context)
{
    struct error *error = check_create(sandbox, container);
    if (error) {
        done(context, error);
        return;
    }
    struct creation *creation = must_new(struct creation);
    *creation = (struct creation){.sandbox = sandbox,
        .container = container_new(sandbox, container->id, container->bundle),
        .with_machine = sandbox->state == SANDBOX_EMPTY,
        .done = done,
        .context = context};
    creation->process = process_new(
        creation->container, "", container->in, container->out, container->error, container->terminal);
    creation->step_soon = sandbox_event_new(sandbox, step_ended, creation);
    copy_rootfs(creation, container);
    sandbox->creation = creation;
    if (creation->with_machine) {
        timeline_mark(&sandbox->timeline, "create called");
        sandbox_set_state(sandbox, SANDBOX_CREATING);
    }
    begin_step(creation);
}
