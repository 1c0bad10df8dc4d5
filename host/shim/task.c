/* SPDX-License-Identifier: Apache-2.0 */
/* containerd.task.v2.Task and v3, which differ in the package's name only. */
#include "proto/task.pb-c.h"
#include "shim/metrics.h"
#include "shim/shim.h"

#include "base/strv.h"

#include <string.h>
#include <unistd.h>

/* A call that is answered later with something of the sandbox. */
struct pending {
    struct shim *shim;
    struct ttrpc_call *call;
};

static struct pending *pending_new(struct shim *shim, struct ttrpc_call *call)
{
    struct pending *pending = must_new(struct pending);
    *pending = (struct pending){.shim = shim, .call = call};
    return pending;
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
    response.pid = (uint32_t)sandbox_process_id(pending->shim->sandbox);
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
    _cleanup_free_ struct sandbox_mount *rootfs = must_alloc_array(request->n_rootfs, sizeof(*rootfs));
    for (size_t i = 0; i < request->n_rootfs; i++)
        rootfs[i] = (struct sandbox_mount){.type = request->rootfs[i]->type,
            .source = request->rootfs[i]->source,
            .options = request->rootfs[i]->options,
            .option_count = request->rootfs[i]->n_options};
    struct sandbox_container container = {.id = request->id,
        .bundle = request->bundle,
        .rootfs = rootfs,
        .rootfs_count = request->n_rootfs,
        .in = request->stdin,
        .out = request->stdout,
        .error = request->stderr,
        .terminal = request->terminal};
    sandbox_create(shim->sandbox, &container, created, pending_new(shim, call));
}

static void started(void *context, struct error *error)
{
    struct pending *pending = context;
    Task__StartResponse response = TASK__START_RESPONSE__INIT;
    response.pid = (uint32_t)sandbox_process_id(pending->shim->sandbox);
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
        process_start(process, started, pending_new(context, call));
}

static void deleted(void *context, struct error *error, const struct process_status *status)
{
    if (error) {
        ttrpc_fail(context, error);
        return;
    }
    Google__Protobuf__Timestamp at = timestamp(status->exited_at);
    Task__DeleteResponse response = TASK__DELETE_RESPONSE__INIT;
    response.pid = (uint32_t)status->pid;
    response.exit_status = status->exit_status;
    response.exited_at = &at;
    ttrpc_reply(context, &response.base);
}

static void handle_delete(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__DeleteRequest, message);
    struct process *process = find(context, call, request->id, request->exec_id);
    if (process)
        process_delete(process, deleted, call);
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

static void count_process(void *context, const struct process_status *status)
{
    size_t *count = context;
    (*count)++;
}

/* The guest's process numbers mean nothing on the host: all have the hypervisor's. */
static void handle_pids(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__PidsRequest, message);
    struct shim *shim = context;
    struct process *process = find(shim, call, request->id, "");
    if (!process)
        return;
    size_t count = 0;
    process_list(process, count_process, &count);
    Task__ProcessInfo info = TASK__PROCESS_INFO__INIT;
    info.pid = (uint32_t)sandbox_process_id(shim->sandbox);
    _cleanup_free_ Task__ProcessInfo **list = must_alloc_array(count + 1, sizeof(*list));
    for (size_t i = 0; i < count; i++)
        list[i] = &info;
    Task__PidsResponse response = TASK__PIDS_RESPONSE__INIT;
    response.processes = list;
    response.n_processes = count;
    ttrpc_reply(call, &response.base);
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
    struct shim *shim = context;
    Task__ConnectResponse response = TASK__CONNECT_RESPONSE__INIT;
    response.shim_pid = (uint32_t)getpid();
    response.task_pid = (uint32_t)sandbox_process_id(shim->sandbox);
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
    if (error) {
        ttrpc_fail(context, error);
        return;
    }
    size_t length = 0;
    _cleanup_free_ uint8_t *bytes = metrics_pack(stats, &length);
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = cgroup2__metrics__descriptor.name;
    any.value = (ProtobufCBinaryData){.data = bytes, .len = length};
    Task__StatsResponse response = TASK__STATS_RESPONSE__INIT;
    response.stats = &any;
    ttrpc_reply(context, &response.base);
}

static void handle_stats(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__StatsRequest, message);
    struct process *process = find(context, call, request->id, "");
    if (process)
        process_stats(process, stats_known, call);
}

static void handle_checkpoint(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    ttrpc_fail(call, error_new(ERROR_UNIMPLEMENTED, "checkpoints are not supported"));
}

/* ---- shutdown ---- */

/* containerd calls it after each Delete: while containers remain it does nothing. A creation that is still
   under way is interrupted when it is the caller's own. */
static void handle_shutdown(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Task__ShutdownRequest, message);
    struct shim *shim = context;
    bool interrupts = sandbox_is_for_creation_of(shim->sandbox, request->id);
    if (sandbox_has_containers(shim->sandbox) && !request->now && !interrupts)
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
