/* SPDX-License-Identifier: Apache-2.0 */
/* containerd.task.v2.Task and v3, which differ in the package's name only. */
#include "proto/runc.pb-c.h"
#include "proto/task.pb-c.h"
#include "shim/runtime_options.h"
#include "shim/shim.h"

#include "base/strv.h"

#include <string.h>
#include <unistd.h>

/* A call that is answered later with something of the sandbox. The names are the request's, which lives until
   the call is answered. */
struct pending {
    struct shim *shim;
    struct ttrpc_call *call;
    const char *container_id;
    const char *exec_id;
};

static struct pending *pending_new(
    struct shim *shim, struct ttrpc_call *call, const char *container_id, const char *exec_id)
{
    struct pending *pending = must_new(struct pending);
    *pending = (struct pending){.shim = shim, .call = call, .container_id = container_id, .exec_id = exec_id};
    return pending;
}

/* What clients take for the process: see process_status. */
static uint32_t host_pid(struct shim *shim, const char *container_id, const char *exec_id)
{
    struct process *process = NULL;
    _cleanup_error_ struct error *error = sandbox_find(shim->sandbox, container_id, exec_id, &process);
    return (uint32_t)(error ? 0 : process_status(process).pid);
}

/* For calls whose answer is empty; the context is the call. */
static void answer(void *context, struct error *error)
{
    if (error)
        ttrpc_fail(context, error);
    else
        ttrpc_reply_empty(context);
}

static Google__Protobuf__Timestamp timestamp(struct timespec at)
{
    Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    timestamp.seconds = at.tv_sec;
    timestamp.nanos = (int32_t)at.tv_nsec;
    return timestamp;
}

/* NULL when the call has been failed. */
static struct process *find(
    struct shim *shim, struct ttrpc_call *call, const char *container_id, const char *exec_id)
{
    struct process *process = NULL;
    struct error *error = sandbox_find(shim->sandbox, container_id, exec_id, &process);
    if (error)
        ttrpc_fail(call, error);
    return process;
}

#define REQUEST(type, message) const type *request = (const type *)(message)

/* ---- create, start, delete ---- */

static void created(void *context, struct error *error)
{
    struct pending *pending = context;
    Task__CreateTaskResponse response = TASK__CREATE_TASK_RESPONSE__INIT;
    response.pid = host_pid(pending->shim, pending->container_id, "");
    if (error)
        ttrpc_fail(pending->call, error);
    else
        ttrpc_reply(pending->call, &response.base);
    free(pending);
}

static void handle_create(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__CreateTaskRequest, message);
    struct shim *shim = context;
    if (*request->checkpoint) {
        ttrpc_fail(call, error_new(ERROR_UNIMPLEMENTED, "restoring from a checkpoint is not supported"));
        return;
    }
    _cleanup_free_ char *config_path = NULL;
    struct error *error = runtime_options_config_path(request->options, &config_path);
    if (error) {
        ttrpc_fail(call, error);
        return;
    }
    _cleanup_free_ struct sandbox_mount *rootfs = must_alloc_array(request->n_rootfs, sizeof(*rootfs));
    for (size_t i = 0; i < request->n_rootfs; i++)
        rootfs[i] = (struct sandbox_mount){.type = request->rootfs[i]->type,
            .source = request->rootfs[i]->source,
            .target = request->rootfs[i]->target,
            .options = request->rootfs[i]->options,
            .option_count = request->rootfs[i]->n_options};
    struct sandbox_container container = {.id = request->id,
        .bundle = request->bundle,
        .rootfs = rootfs,
        .rootfs_count = request->n_rootfs,
        .in = request->stdin,
        .out = request->stdout,
        .error = request->stderr,
        .terminal = request->terminal,
        .config_path = config_path};
    sandbox_create(shim->sandbox, &container, created, pending_new(shim, call, request->id, ""));
}

static void started(void *context, struct error *error)
{
    struct pending *pending = context;
    Task__StartResponse response = TASK__START_RESPONSE__INIT;
    response.pid = host_pid(pending->shim, pending->container_id, pending->exec_id);
    if (error)
        ttrpc_fail(pending->call, error);
    else
        ttrpc_reply(pending->call, &response.base);
    free(pending);
}

static void handle_start(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__StartRequest, message);
    struct process *process = find(context, call, request->id, request->exec_id);
    if (process)
        process_start(process, started, pending_new(context, call, request->id, request->exec_id));
}

/* A Delete whose process is gone and whose logger may still be writing. */
struct deletion {
    struct ttrpc_call *call;
    pid_t pid;
    uint32_t exit_status;
    struct timespec exited_at;
};

static void logger_has_ended(void *context)
{
    struct deletion *deletion = context;
    Google__Protobuf__Timestamp at = timestamp(deletion->exited_at);
    Task__DeleteResponse response = TASK__DELETE_RESPONSE__INIT;
    response.pid = (uint32_t)deletion->pid;
    response.exit_status = deletion->exit_status;
    response.exited_at = &at;
    ttrpc_reply(deletion->call, &response.base);
    free(deletion);
}

static void deleted(void *context, struct error *error, const struct process_status *status)
{
    struct pending *pending = context;
    if (error) {
        ttrpc_fail(pending->call, error);
    } else {
        struct deletion *deletion = must_new(struct deletion);
        *deletion = (struct deletion){.call = pending->call,
            .pid = status->pid,
            .exit_status = status->exit_status,
            .exited_at = status->exited_at};
        const struct logger_owner owner = {status->container_id, status->exec_id};
        loggers_await_end(pending->shim->loggers, &owner, logger_has_ended, deletion);
    }
    free(pending);
}

static void handle_delete(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__DeleteRequest, message);
    struct process *process = find(context, call, request->id, request->exec_id);
    if (process)
        process_delete(process, deleted, pending_new(context, call, request->id, request->exec_id));
}

/* ---- state ---- */

static Task__Status task_status(enum process_state state)
{
    switch (state) {
    case PROCESS_CREATED:
    case PROCESS_STARTING:
        return TASK__STATUS__CREATED;
    case PROCESS_RUNNING:
    case PROCESS_DRAINING:
        return TASK__STATUS__RUNNING;
    case PROCESS_PAUSING:
        return TASK__STATUS__PAUSING;
    case PROCESS_PAUSED:
        return TASK__STATUS__PAUSED;
    case PROCESS_STOPPED:
        return TASK__STATUS__STOPPED;
    default:
        return TASK__STATUS__UNKNOWN;
    }
}

static void reply_state(struct ttrpc_call *call, const struct process_status *status)
{
    Google__Protobuf__Timestamp at = timestamp(status->exited_at);
    Task__StateResponse response = TASK__STATE_RESPONSE__INIT;
    response.id = *status->exec_id ? status->exec_id : status->container_id;
    response.exec_id = status->exec_id;
    response.bundle = status->bundle;
    response.pid = (uint32_t)status->pid;
    response.status = task_status(status->state);
    response.stdin = status->in;
    response.stdout = status->out;
    response.stderr = status->error;
    response.terminal = status->terminal;
    if (status->state == PROCESS_STOPPED) {
        response.exit_status = status->exit_status;
        response.exited_at = &at;
    }
    ttrpc_reply(call, &response.base);
}

/* A container whose Create has not been answered is not there yet. */
static void handle_state(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__StateRequest, message);
    struct process *process = find(context, call, request->id, request->exec_id);
    if (!process)
        return;
    struct process_status status = process_status(process);
    if (status.state == PROCESS_CREATING || status.state == PROCESS_DELETED)
        ttrpc_fail(call, error_new(ERROR_NOT_FOUND, "container not created: not found"));
    else
        reply_state(call, &status);
}

/* As containerd's own shim tells which exec a process is. */
static Google__Protobuf__Any *exec_details(const char *exec_id)
{
    Runc__ProcessDetails details = RUNC__PROCESS_DETAILS__INIT;
    details.exec_id = exec_id;
    Google__Protobuf__Any *any = must_new(Google__Protobuf__Any);
    *any = (Google__Protobuf__Any)GOOGLE__PROTOBUF__ANY__INIT;
    any->type_url = runc__process_details__descriptor.name;
    any->value.data = ttrpc_pack(&details.base, &any->value.len);
    return any;
}

static void process_info_free(Task__ProcessInfo *info)
{
    if (info->info)
        free(info->info->value.data);
    free(info->info);
    free(info);
}

/* The processes of a container as Pids lists them. */
struct listing {
    Task__PidsResponse response;
    size_t room;
};

static void list_process(void *context, const struct process_status *status)
{
    struct listing *listing = context;
    Task__PidsResponse *response = &listing->response;
    if (response->n_processes == listing->room)
        response->processes = must_resize(response->processes, listing->room += 16, sizeof(void *));
    Task__ProcessInfo *info = must_new(Task__ProcessInfo);
    *info = (Task__ProcessInfo)TASK__PROCESS_INFO__INIT;
    info->pid = (uint32_t)status->pid;
    if (*status->exec_id)
        info->info = exec_details(status->exec_id);
    response->processes[response->n_processes++] = info;
}

/* The guest's process numbers mean nothing on the host: see process_status. */
static void handle_pids(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__PidsRequest, message);
    struct listing listing = {.response = TASK__PIDS_RESPONSE__INIT};
    struct process *process = find(context, call, request->id, "");
    if (!process)
        return;
    process_list(process, list_process, &listing);
    ttrpc_reply(call, &listing.response.base);
    for (size_t i = 0; i < listing.response.n_processes; i++)
        process_info_free(listing.response.processes[i]);
    free(listing.response.processes);
}

static void waited(void *context, const struct process_status *status)
{
    Google__Protobuf__Timestamp at = timestamp(status->exited_at);
    Task__WaitResponse response = TASK__WAIT_RESPONSE__INIT;
    response.exit_status = status->exit_status;
    response.exited_at = &at;
    ttrpc_reply(context, &response.base);
}

static void handle_wait(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__WaitRequest, message);
    struct process *process = find(context, call, request->id, request->exec_id);
    if (process)
        process_wait(process, waited, call);
}

static void handle_connect(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__ConnectRequest, message);
    struct shim *shim = context;
    Task__ConnectResponse response = TASK__CONNECT_RESPONSE__INIT;
    response.shim_pid = (uint32_t)getpid();
    response.task_pid = host_pid(shim, request->id, "");
    response.version = CAISSON_VERSION;
    ttrpc_reply(call, &response.base);
}

/* ---- a process that runs ---- */

static void handle_kill(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__KillRequest, message);
    struct process *process = find(context, call, request->id, request->exec_id);
    if (process)
        process_kill(process, request->signal, request->all, answer, call);
}

static void handle_exec(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__ExecProcessRequest, message);
    struct process *process = find(context, call, request->id, "");
    if (!process)
        return;
    struct sandbox_exec exec = {.id = request->exec_id,
        .process = request->spec ? (const char *)request->spec->value.data : "",
        .process_length = request->spec ? request->spec->value.len : 0,
        .in = request->stdin,
        .out = request->stdout,
        .error = request->stderr,
        .terminal = request->terminal};
    answer(call, process_add_exec(process, &exec));
}

static void handle_resize_pty(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__ResizePtyRequest, message);
    struct process *process = find(context, call, request->id, request->exec_id);
    if (process)
        process_resize(process, request->height, request->width, answer, call);
}

static void handle_close_io(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__CloseIORequest, message);
    struct process *process = find(context, call, request->id, request->exec_id);
    if (process)
        answer(call, request->stdin ? process_close_input(process) : NULL);
}

/* ---- a container that runs ---- */

static void handle_pause(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__PauseRequest, message);
    struct process *process = find(context, call, request->id, "");
    if (process)
        process_pause(process, answer, call);
}

static void handle_resume(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__ResumeRequest, message);
    struct process *process = find(context, call, request->id, "");
    if (process)
        process_resume(process, answer, call);
}

static void handle_update(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__UpdateTaskRequest, message);
    struct process *process = find(context, call, request->id, "");
    if (!process)
        return;
    if (!request->resources) {
        ttrpc_fail(call, error_new(ERROR_INVALID_ARGUMENT, "the request has no resources"));
        return;
    }
    process_update(
        process, (const char *)request->resources->value.data, request->resources->value.len, answer, call);
}

static void stats_known(void *context, struct error *error, const Grpc__StatsContainerResponse *stats)
{
    _cleanup_free_ struct pending *pending = context;
    if (error) {
        ttrpc_fail(pending->call, error);
        return;
    }
    size_t length = 0;
    _cleanup_free_ uint8_t *bytes = metrics_pack(stats, pending->shim->metrics, &length);
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = metrics_type(pending->shim->metrics);
    any.value = (ProtobufCBinaryData){.data = bytes, .len = length};
    Task__StatsResponse response = TASK__STATS_RESPONSE__INIT;
    response.stats = &any;
    ttrpc_reply(pending->call, &response.base);
}

static void handle_stats(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__StatsRequest, message);
    struct process *process = find(context, call, request->id, "");
    if (process)
        process_stats(process, stats_known, pending_new(context, call, request->id, ""));
}

static void handle_checkpoint(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    ttrpc_fail(call, error_new(ERROR_UNIMPLEMENTED, "checkpoints are not supported"));
}

/* ---- shutdown ---- */

/* containerd calls it after each Delete: while containers remain it does nothing. A creation that is still
   under way is interrupted when it is the caller's own. What the Sandbox API made is ended by
   ShutdownSandbox, which comes after the last Delete. */
static void handle_shutdown(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__ShutdownRequest, message);
    struct shim *shim = context;
    bool interrupts = sandbox_is_for_creation_of(shim->sandbox, request->id);
    bool is_wanted = shim->pod || sandbox_is_wanted(shim->sandbox);
    if (is_wanted && !request->now && !interrupts)
        ttrpc_reply_empty(call);
    else
        shim_end(shim, call);
}

static const struct ttrpc_method methods[] = {
    {"State", handle_state},
    {"Create", handle_create},
    {"Start", handle_start},
    {"Delete", handle_delete},
    {"Pids", handle_pids},
    {"Pause", handle_pause},
    {"Resume", handle_resume},
    {"Checkpoint", handle_checkpoint},
    {"Kill", handle_kill},
    {"Exec", handle_exec},
    {"ResizePty", handle_resize_pty},
    {"CloseIO", handle_close_io},
    {"Update", handle_update},
    {"Wait", handle_wait},
    {"Stats", handle_stats},
    {"Connect", handle_connect},
    {"Shutdown", handle_shutdown},
};

const struct ttrpc_service shim_task_v2 = {.name = "containerd.task.v2.Task",
    .descriptor = &task__task__descriptor,
    .methods = methods,
    .method_count = ARRAY_SIZE(methods)};

const struct ttrpc_service shim_task_v3 = {.name = "containerd.task.v3.Task",
    .descriptor = &task__task__descriptor,
    .methods = methods,
    .method_count = ARRAY_SIZE(methods)};
