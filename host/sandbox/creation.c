/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/creation.h"

#include "base/strv.h"

#include <string.h>

static void free_rootfs(struct creation *creation)
{
    for (size_t i = 0; i < creation->rootfs_count; i++) {
        struct sandbox_mount *mount = &creation->rootfs[i];
        free((char *)(uintptr_t)mount->type);
        free((char *)(uintptr_t)mount->source);
        free((char *)(uintptr_t)mount->target);
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
        .target = must_copy_or_null(mount->target),
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
    free(creation->config_path);
    strv_free(creation->dns);
    strv_free(creation->shared_memory);
    guest_mounts_free(creation->mounts);
    creation_release_template(creation);
    free(creation->hypervisor_reason);
    event_free(creation->step_soon);
    free(creation);
}

/* ---- the queue ---- */

static void begin_step(struct creation *creation);

void creation_begin_next(evutil_socket_t fd, short what, void *context)
{
    struct sandbox *sandbox = context;
    struct creation *creation = TAILQ_FIRST(&sandbox->creations);
    if (!creation || creation->begun)
        return;
    struct error *error = sandbox_check_creatable(sandbox);
    if (error) {
        creation_cancel(creation, error);
        return;
    }
    creation->begun = true;
    creation->with_machine = sandbox->state == SANDBOX_EMPTY;
    if (creation->with_machine)
        sandbox_set_state(sandbox, SANDBOX_CREATING);
    begin_step(creation);
}

static void enqueue(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    TAILQ_INSERT_TAIL(&sandbox->creations, creation, entry);
    if (creation == TAILQ_FIRST(&sandbox->creations))
        creation_begin_next(-1, 0, sandbox);
}

/* It has been decided, whichever way: the next one begins from the loop. */
static void dequeue(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    TAILQ_REMOVE(&sandbox->creations, creation, entry);
    if (creation->container)
        creation->container->creation = NULL;
    if (!TAILQ_EMPTY(&sandbox->creations))
        event_active(sandbox->next_creation, EV_TIMEOUT, 0);
}

/* ---- walking the list ---- */

static bool is_skipped(const struct creation *creation, size_t step)
{
    switch (creation_steps[step].part) {
    case CREATION_MACHINE:
        return !creation->with_machine;
    case CREATION_ATTACH:
        return creation->with_machine || !creation->container;
    case CREATION_CONTAINER:
        return !creation->container;
    }
    return true;
}

static void undo_steps(struct creation *creation)
{
    for (size_t step = creation->step + 1; step-- > 0;)
        if (!is_skipped(creation, step) && creation_steps[step].undo)
            creation_steps[step].undo(creation);
}

static struct error *name_failure(const struct creation *creation, struct error *error)
{
    const char *doing = creation->begun ? creation_steps[creation->step].name : "waiting for its turn";
    if (creation->container)
        return error_wrap(error, "creating container %s: %s", creation->container->id, doing);
    return error_wrap(error, "starting the sandbox: %s", doing);
}

static void empty_sandbox(struct sandbox *sandbox)
{
    sandbox_release_machine(sandbox);
    free(TAKE_PTR(sandbox->lost_reason));
    sandbox->machine_ended = false;
    sandbox_set_state(sandbox, SANDBOX_EMPTY);
}

/* Undoes everything and answers; takes the error. An answer of the agent may still be on its way afterwards,
   when the machine lives on: then the creation stays, as nobody's, until it has come. */
static void fail(struct creation *creation, struct error *error)
{
    struct sandbox *sandbox = creation->sandbox;
    error = name_failure(creation, error);
    creation->undone = true;
    evtimer_del(creation->step_soon);
    if (creation->begun)
        undo_steps(creation);
    dequeue(creation);
    if (creation->container)
        container_free(creation->container);
    if (creation->with_machine)
        empty_sandbox(sandbox);
    creation->done(creation->context, error);
    creation->orphaned = creation->waiting && creation_steps[creation->step].asks_agent && sandbox->agent;
    if (!creation->orphaned)
        creation_free(creation);
    sandbox_container_ended(sandbox);
}

static void container_succeeds(struct creation *creation)
{
    struct process *process = creation->process;
    process->pid = container_pid(creation->container);
    process_set_state(process, PROCESS_CREATED);
    process_watch_exit(process);
    sandbox_tell(creation->sandbox, SANDBOX_EVENT_CREATED, process);
}

static void succeed(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    creation_step_out_of_cgroup(creation);
    dequeue(creation);
    if (creation->with_machine) {
        sandbox_set_state(sandbox, SANDBOX_RUNNING);
        sandbox_watch_memory(sandbox);
    }
    if (creation->container)
        container_succeeds(creation);
    else
        sandbox->held = true;
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
    if (mark && creation->with_machine)
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
    /* The agent is gone. Why, the machine may say in a moment: loss.c then cancels the creation. */
    if (!creation->undone && error_code(error) == ERROR_UNAVAILABLE) {
        creation->waiting = false;
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

/* Those that wait first: none of them is to begin when the one under way has gone. */
void creation_cancel_all(struct sandbox *sandbox, enum error_code code, const char *reason)
{
    _cleanup_free_ char *words = must_copy(reason); /* the sandbox's own may go with its machine */
    while (!TAILQ_EMPTY(&sandbox->creations))
        creation_cancel(TAILQ_LAST(&sandbox->creations, creation_queue), error_new(code, "%s", words));
}

/* ---- what begins it ---- */

static struct creation *creation_new(struct sandbox *sandbox, sandbox_done *done, void *context)
{
    struct creation *creation = must_new(struct creation);
    *creation = (struct creation){.sandbox = sandbox, .done = done, .context = context};
    creation->step_soon = sandbox_event_new(sandbox, step_ended, creation);
    return creation;
}

static struct error *check_create(struct sandbox *sandbox, const struct sandbox_container *container)
{
    TRY(identifier_check("container id", container->id));
    if (sandbox_container(sandbox, container->id))
        return error_new(ERROR_ALREADY_EXISTS, "container %s: already exists", container->id);
    return sandbox_check_creatable(sandbox);
}

void sandbox_create(
    struct sandbox *sandbox, const struct sandbox_container *container, sandbox_done *done, void *context)
{
    struct error *error = check_create(sandbox, container);
    if (error) {
        done(context, error);
        return;
    }
    struct creation *creation = creation_new(sandbox, done, context);
    creation->container = container_new(sandbox, container->id, container->bundle);
    creation->container->creation = creation;
    creation->process = process_new(
        creation->container, "", container->in, container->out, container->error, container->terminal);
    copy_rootfs(creation, container);
    creation->config_path = must_copy_or_null(container->config_path);
    if (sandbox->state == SANDBOX_EMPTY)
        timeline_mark(&sandbox->timeline, "create called");
    enqueue(creation);
}

void sandbox_start(struct sandbox *sandbox, const struct sandbox_pod *pod, sandbox_done *done, void *context)
{
    struct error *error = refusal_error(sandbox_refusal(sandbox->state, SANDBOX_START));
    if (error) {
        done(context, error);
        return;
    }
    struct creation *creation = creation_new(sandbox, done, context);
    creation->spec = pod_spec_new(pod);
    creation->dns = strv_copy(pod->dns);
    creation->config_path = must_copy_or_null(pod->config_path);
    enqueue(creation);
}
