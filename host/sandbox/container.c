/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/growth.h"

#include "base/fd.h"
#include "sandbox/container_host.h"

#include <fcntl.h>
#include <string.h>

struct container *container_new(struct sandbox *sandbox, const char *id, const char *bundle)
{
    struct container *container = must_new(struct container);
    container->sandbox = sandbox;
    container->id = must_copy(id);
    container->bundle = must_copy(bundle);
    TAILQ_INIT(&container->processes);
    TAILQ_INSERT_TAIL(&sandbox->containers, container, entry);
    return container;
}

struct process *container_init(const struct container *container)
{
    return TAILQ_FIRST(&container->processes);
}

pid_t container_pid(const struct container *container)
{
    const struct container_host *host = container->host;
    return host && host->stand_in ? stand_in_pid(host->stand_in) : sandbox_process_id(container->sandbox);
}

void container_free(struct container *container)
{
    if (container->deletion)
        deletion_abandon(TAKE_PTR(container->deletion));
    while (!TAILQ_EMPTY(&container->processes))
        process_unlist(TAILQ_LAST(&container->processes, process_list));
    TAILQ_REMOVE(&container->sandbox->containers, container, entry);
    if (container->exec_patience)
        event_free(container->exec_patience);
    container_host_free(container->host);
    container_storage_free(container->storage);
    if (container->sandbox->host_sockets)
        host_sockets_remove(container->sandbox->host_sockets, container);
    container_cpu_clear(&container->cpu);
    free(container->id);
    free(container->bundle);
    free(container);
}

void container_write_file(struct container *container, const char *name, const char *text)
{
    _cleanup_free_ char *path = must_printf("%s/%s", container->bundle, name);
    _cleanup_error_ struct error *error = file_write_text(AT_FDCWD, path, text);
    if (error)
        sandbox_remark(container->sandbox, "container %s: %s", container->id, error_message(error));
}

/* ---- execs ---- */

struct error *process_add_exec(struct process *process, const struct sandbox_exec *exec)
{
    struct container *container = process->container;
    struct process *found = NULL;
    _cleanup_oci_process_ Grpc__Process *spec = NULL;
    TRY(process_check(process, PROCESS_EXEC));
    TRY(sandbox_check_usable(container->sandbox));
    TRY(identifier_check("exec id", exec->id));
    error_free(sandbox_find(container->sandbox, container->id, exec->id, &found));
    if (found)
        return error_new(ERROR_ALREADY_EXISTS, "id %s: already exists", exec->id);
    TRY(oci_process_parse(exec->process, exec->process_length, &spec));
    guest_process_rewrite(spec);
    spec->terminal = exec->terminal;
    struct process *added =
        process_new(container, exec->id, exec->in, exec->out, exec->error, exec->terminal);
    added->spec = TAKE_PTR(spec);
    process_set_state(added, PROCESS_CREATED);
    sandbox_tell(container->sandbox, SANDBOX_EVENT_EXEC_ADDED, added);
    return NULL;
}

void process_list(
    struct process *process, void (*each)(void *context, const struct process_status *status), void *context)
{
    struct process *other;
    TAILQ_FOREACH (other, &process->container->processes, entry) {
        if (other->state < PROCESS_RUNNING || other->state >= PROCESS_STOPPED)
            continue;
        struct process_status status = process_status(other);
        each(context, &status);
    }
}

/* ---- calls that only go through to the agent ---- */

struct request {
    struct process *process;
    sandbox_done *done;
    process_stats_done *stats_done;
    void *context;
};

static struct request *request_new(struct process *process, sandbox_done *done, void *context)
{
    struct request *request = must_new(struct request);
    *request = (struct request){.process = process, .done = done, .context = context};
    process_hold(process);
    return request;
}

static void request_finish(struct request *request, struct error *error)
{
    process_release(request->process);
    request->done(request->context, error);
    free(request);
}

/* Whether the call may be made; otherwise `done` has been called. */
static bool admit(struct process *process, enum process_call call, sandbox_done *done, void *context)
{
    struct error *error = process_check(process, call);
    if (!error)
        error = sandbox_check_usable(process->container->sandbox);
    if (error)
        done(context, error);
    return !error;
}

/* The pause is over, either way; an exit in the meantime has the last word. */
static void settle(struct process *process, enum process_state state, enum sandbox_event event, bool happened)
{
    if (process->state != PROCESS_PAUSING && process->state != PROCESS_PAUSED)
        return;
    if (process->state != state)
        process_set_state(process, state);
    if (happened)
        sandbox_tell(process->container->sandbox, event, process);
}

static void paused(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct request *request = context;
    settle(request->process, error ? PROCESS_RUNNING : PROCESS_PAUSED, SANDBOX_EVENT_PAUSED, !error);
    request_finish(request, error);
}

void process_pause(struct process *process, sandbox_done *done, void *context)
{
    if (!admit(process, PROCESS_PAUSE, done, context))
        return;
    process_set_state(process, PROCESS_PAUSING);
    agent_pause_container(process->container->sandbox->agent, process->container->id, paused,
        request_new(process, done, context));
}

static void resumed(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct request *request = context;
    if (!error)
        settle(request->process, PROCESS_RUNNING, SANDBOX_EVENT_RESUMED, true);
    request_finish(request, error);
}

void process_resume(struct process *process, sandbox_done *done, void *context)
{
    if (!admit(process, PROCESS_RESUME, done, context))
        return;
    agent_resume_container(process->container->sandbox->agent, process->container->id, resumed,
        request_new(process, done, context));
}

static void passed_on(void *context, struct error *error, const ProtobufCMessage *response)
{
    request_finish(context, error);
}

/* An update whose machine grows first. */
struct update {
    struct process *process;
    Grpc__LinuxResources *resources;
    sandbox_done *done;
    void *context;
};

static void update_finish(struct update *update, struct error *error)
{
    process_release(update->process);
    oci_resources_free(update->resources);
    update->done(update->context, error);
    free(update);
}

static void updated(void *context, struct error *error, const ProtobufCMessage *response)
{
    update_finish(context, error);
}

static void update_container(void *context, struct error *error)
{
    struct update *update = context;
    const struct container *container = update->process->container;
    if (!error && container)
        error = sandbox_check_usable(container->sandbox);
    if (error || !container) {
        update_finish(update, error ? error : error_new(ERROR_NOT_FOUND, "container not created: not found"));
        return;
    }
    Grpc__UpdateContainerRequest request = GRPC__UPDATE_CONTAINER_REQUEST__INIT;
    request.container_id = container->id;
    request.resources = update->resources;
    agent_update_container(container->sandbox->agent, &request, updated, update);
}

void process_update(
    struct process *process, const char *resources, size_t length, sandbox_done *done, void *context)
{
    struct container *container = process->container;
    Grpc__LinuxResources *parsed = NULL;
    if (!admit(process, PROCESS_UPDATE, done, context))
        return;
    struct error *error = oci_resources_parse(resources, length, &parsed);
    if (!error)
        error = container_update_cpu(container, parsed);
    if (error) {
        oci_resources_free(parsed);
        done(context, error);
        return;
    }
    guest_resources_rewrite(parsed);
    if (guest_memory_limit(parsed) > 0)
        container->memory_limit = guest_memory_limit(parsed);
    struct update *update = must_new(struct update);
    *update = (struct update){.process = process, .resources = parsed, .done = done, .context = context};
    process_hold(process);
    sandbox_grow(container->sandbox, update_container, update);
}

void process_resize(
    struct process *process, uint32_t rows, uint32_t columns, sandbox_done *done, void *context)
{
    if (!admit(process, PROCESS_RESIZE, done, context))
        return;
    agent_resize_terminal(process->container->sandbox->agent, process->container->id,
        process_agent_id(process), rows, columns, passed_on, request_new(process, done, context));
}

static void stats_answered(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct request *request = context;
    process_release(request->process);
    request->stats_done(request->context, error, (const Grpc__StatsContainerResponse *)response);
    free(request);
}

void process_stats(struct process *process, process_stats_done *done, void *context)
{
    struct error *error = process_check(process, PROCESS_STATS);
    if (!error)
        error = sandbox_check_usable(process->container->sandbox);
    if (error) {
        done(context, error, NULL);
        return;
    }
    struct request *request = request_new(process, NULL, context);
    request->stats_done = done;
    agent_stats_container(
        process->container->sandbox->agent, process->container->id, stats_answered, request);
}
