/* SPDX-License-Identifier: Apache-2.0 */
#include "client/task.h"

#include "ttrpc/ttrpc.h"

#include <string.h>

/* As containerd's typeurl names JSON of the runtime specification. */
#define PROCESS_TYPE_URL "types.containerd.io/opencontainers/runtime-spec/1/Process"

struct task {
    struct event_base *base;
    struct ttrpc_client *client;
    char *id;
    bool interrupted;
    uint64_t timeout;
};

/* A call that somebody waits for. Abandoned, it is freed when its answer comes after all. */
struct awaited {
    const ProtobufCMessageDescriptor *expected;
    bool done;
    bool abandoned;
    struct error *error;
    ProtobufCMessage *response;
};

struct error *task_connect(
    struct event_base *base, const char *id, const char *address, struct task **ret_task)
{
    _cleanup_task_ struct task *task = must_new(struct task);

    task->base = base;
    task->id = must_copy(id);
    TRY(shim_connect(base, address, &task->client));
    *ret_task = TAKE_PTR(task);
    return NULL;
}

struct error *task_open(
    struct event_base *base, const struct directories *directories, const char *id, struct task **ret_task)
{
    _cleanup_free_ char *address = NULL;

    TRY(shim_address(directories, id, &address));
    return task_connect(base, id, address, ret_task);
}

void task_free(struct task *task)
{
    if (!task)
        return;
    ttrpc_client_free(task->client);
    free(task->id);
    free(task);
}

void task_interrupt(struct task *task, bool interrupted)
{
    task->interrupted = interrupted;
}

void task_set_timeout(struct task *task, uint64_t timeout)
{
    task->timeout = timeout;
}

/* ---- calls ---- */

static void awaited_free(struct awaited *call)
{
    error_free(call->error);
    if (call->response)
        protobuf_c_message_free_unpacked(call->response, NULL);
    free(call);
}

/* The response is only borrowed here, and messages have no copy but through their bytes. */
static ProtobufCMessage *message_copy(const ProtobufCMessage *message)
{
    size_t length;
    _cleanup_free_ uint8_t *packed = ttrpc_pack(message, &length);
    return protobuf_c_message_unpack(message->descriptor, NULL, length, packed);
}

static void answered(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct awaited *call = context;

    call->done = true;
    call->error = error;
    if (response && !call->abandoned)
        call->response = message_copy(response);
    if (call->abandoned)
        awaited_free(call);
}

static struct error *interrupted_error(void)
{
    return error_new(ERROR_CANCELLED, "interrupted");
}

/* ret_response may be NULL. */
static struct error *call_and_wait(
    struct task *task, const char *method, const ProtobufCMessage *request, ProtobufCMessage **ret_response)
{
    if (task->interrupted)
        return interrupted_error();
    struct awaited *call = must_new(struct awaited);
    ttrpc_client_call(task->client, &task__task__descriptor, method, request, task->timeout, answered, call);
    while (!call->done && !task->interrupted)
        if (event_base_loop(task->base, EVLOOP_ONCE) != 0)
            break;
    if (!call->done) {
        call->abandoned = true;
        return interrupted_error();
    }
    struct error *error = TAKE_PTR(call->error);
    if (!error && ret_response)
        *ret_response = TAKE_PTR(call->response);
    awaited_free(call);
    return error;
}

static void answer_dropped(void *context, struct error *error, const ProtobufCMessage *response)
{
    error_free(error);
}

static void call_without_waiting(struct task *task, const char *method, const ProtobufCMessage *request)
{
    ttrpc_client_call(
        task->client, &task__task__descriptor, method, request, task->timeout, answer_dropped, NULL);
}

static const char *text_of(const char *exec_id)
{
    return exec_id ?: "";
}

static int64_t milliseconds_of(const Google__Protobuf__Timestamp *timestamp)
{
    return timestamp ? timestamp->seconds * 1000 + timestamp->nanos / 1000000 : 0;
}

/* ---- the life of a process ---- */

struct error *task_create(
    struct task *task, const char *bundle, const struct task_rootfs *rootfs, const struct task_io *io)
{
    Containerd__Mount mount = CONTAINERD__MOUNT__INIT;
    Containerd__Mount *mounts[] = {&mount};
    const char *options[] = {"ro"};
    Task__CreateTaskRequest request = TASK__CREATE_TASK_REQUEST__INIT;

    mount.type = rootfs->type;
    mount.source = rootfs->source;
    mount.n_options = ARRAY_SIZE(options);
    mount.options = options;
    request.id = task->id;
    request.bundle = bundle;
    request.n_rootfs = ARRAY_SIZE(mounts);
    request.rootfs = mounts;
    request.terminal = io->terminal;
    request.stdin = io->input;
    request.stdout = io->output;
    request.stderr = io->errors;
    return call_and_wait(task, "Create", &request.base, NULL);
}

struct error *task_exec(struct task *task, const char *exec_id, const char *process, const struct task_io *io)
{
    _cleanup_free_ char *bytes = must_copy(process);
    Google__Protobuf__Any spec = GOOGLE__PROTOBUF__ANY__INIT;
    Task__ExecProcessRequest request = TASK__EXEC_PROCESS_REQUEST__INIT;

    spec.type_url = PROCESS_TYPE_URL;
    spec.value.len = strlen(bytes);
    spec.value.data = (uint8_t *)bytes;
    request.id = task->id;
    request.exec_id = exec_id;
    request.terminal = io->terminal;
    request.stdin = io->input;
    request.stdout = io->output;
    request.stderr = io->errors;
    request.spec = &spec;
    return call_and_wait(task, "Exec", &request.base, NULL);
}

struct error *task_start(struct task *task, const char *exec_id)
{
    Task__StartRequest request = TASK__START_REQUEST__INIT;

    request.id = task->id;
    request.exec_id = text_of(exec_id);
    return call_and_wait(task, "Start", &request.base, NULL);
}

struct error *task_wait(struct task *task, const char *exec_id, struct task_exit *ret_exit)
{
    Task__WaitRequest request = TASK__WAIT_REQUEST__INIT;
    ProtobufCMessage *message;

    request.id = task->id;
    request.exec_id = text_of(exec_id);
    TRY(call_and_wait(task, "Wait", &request.base, &message));
    Task__WaitResponse *response = (Task__WaitResponse *)message;
    *ret_exit = (struct task_exit){response->exit_status, milliseconds_of(response->exited_at)};
    task__wait_response__free_unpacked(response, NULL);
    return NULL;
}

static void fill_kill(
    Task__KillRequest *request, const struct task *task, const char *exec_id, uint32_t signal)
{
    request->id = task->id;
    request->exec_id = text_of(exec_id);
    request->signal = signal;
}

struct error *task_kill(struct task *task, const char *exec_id, uint32_t signal, bool all)
{
    Task__KillRequest request = TASK__KILL_REQUEST__INIT;

    fill_kill(&request, task, exec_id, signal);
    request.all = all;
    return call_and_wait(task, "Kill", &request.base, NULL);
}

void task_kill_begin(struct task *task, const char *exec_id, uint32_t signal)
{
    Task__KillRequest request = TASK__KILL_REQUEST__INIT;

    fill_kill(&request, task, exec_id, signal);
    call_without_waiting(task, "Kill", &request.base);
}

struct error *task_delete(struct task *task, const char *exec_id, struct task_exit *ret_exit)
{
    Task__DeleteRequest request = TASK__DELETE_REQUEST__INIT;
    ProtobufCMessage *message;

    request.id = task->id;
    request.exec_id = text_of(exec_id);
    TRY(call_and_wait(task, "Delete", &request.base, &message));
    Task__DeleteResponse *response = (Task__DeleteResponse *)message;
    if (ret_exit)
        *ret_exit = (struct task_exit){response->exit_status, milliseconds_of(response->exited_at)};
    task__delete_response__free_unpacked(response, NULL);
    return NULL;
}

struct error *task_shutdown(struct task *task, bool now)
{
    Task__ShutdownRequest request = TASK__SHUTDOWN_REQUEST__INIT;

    request.id = task->id;
    request.now = now;
    struct error *error = call_and_wait(task, "Shutdown", &request.base, NULL);
    /* The shim may close the connection before its answer is out. */
    if (error_code(error) != ERROR_UNAVAILABLE)
        return error;
    error_free(error);
    return NULL;
}

/* ---- waiting beside the loop ---- */

struct waiting {
    task_waited *waited;
    void *context;
};

static void wait_answered(void *context, struct error *error, const ProtobufCMessage *message)
{
    struct waiting *waiting = context;
    const Task__WaitResponse *response = (const Task__WaitResponse *)message;
    struct task_exit exit = {0};

    if (response)
        exit = (struct task_exit){response->exit_status, milliseconds_of(response->exited_at)};
    waiting->waited(waiting->context, error, response ? &exit : NULL);
    free(waiting);
}

void task_wait_begin(struct task *task, const char *exec_id, task_waited *waited, void *context)
{
    Task__WaitRequest request = TASK__WAIT_REQUEST__INIT;
    struct waiting *waiting = must_new(struct waiting);

    *waiting = (struct waiting){waited, context};
    request.id = task->id;
    request.exec_id = text_of(exec_id);
    ttrpc_client_call(
        task->client, &task__task__descriptor, "Wait", &request.base, 0, wait_answered, waiting);
}

/* ---- looking and steering ---- */

struct error *task_read_state(struct task *task, const char *exec_id, struct task_state *ret_state)
{
    Task__StateRequest request = TASK__STATE_REQUEST__INIT;
    ProtobufCMessage *message;

    request.id = task->id;
    request.exec_id = text_of(exec_id);
    TRY(call_and_wait(task, "State", &request.base, &message));
    Task__StateResponse *response = (Task__StateResponse *)message;
    ret_state->status = response->status;
    ret_state->pid = response->pid;
    ret_state->exit = (struct task_exit){response->exit_status, milliseconds_of(response->exited_at)};
    task__state_response__free_unpacked(response, NULL);
    return NULL;
}

struct error *task_pause(struct task *task)
{
    Task__PauseRequest request = TASK__PAUSE_REQUEST__INIT;

    request.id = task->id;
    return call_and_wait(task, "Pause", &request.base, NULL);
}

struct error *task_resume(struct task *task)
{
    Task__ResumeRequest request = TASK__RESUME_REQUEST__INIT;

    request.id = task->id;
    return call_and_wait(task, "Resume", &request.base, NULL);
}

static void fill_resize(Task__ResizePtyRequest *request, const struct task *task, const char *exec_id,
    uint32_t columns, uint32_t rows)
{
    request->id = task->id;
    request->exec_id = text_of(exec_id);
    request->width = columns;
    request->height = rows;
}

struct error *task_resize(struct task *task, const char *exec_id, uint32_t columns, uint32_t rows)
{
    Task__ResizePtyRequest request = TASK__RESIZE_PTY_REQUEST__INIT;

    fill_resize(&request, task, exec_id, columns, rows);
    return call_and_wait(task, "ResizePty", &request.base, NULL);
}

void task_resize_begin(struct task *task, const char *exec_id, uint32_t columns, uint32_t rows)
{
    Task__ResizePtyRequest request = TASK__RESIZE_PTY_REQUEST__INIT;

    fill_resize(&request, task, exec_id, columns, rows);
    call_without_waiting(task, "ResizePty", &request.base);
}

static void fill_close_input(Task__CloseIORequest *request, const struct task *task, const char *exec_id)
{
    request->id = task->id;
    request->exec_id = text_of(exec_id);
    request->stdin = true;
}

struct error *task_close_input(struct task *task, const char *exec_id)
{
    Task__CloseIORequest request = TASK__CLOSE_IOREQUEST__INIT;

    fill_close_input(&request, task, exec_id);
    return call_and_wait(task, "CloseIO", &request.base, NULL);
}

void task_close_input_begin(struct task *task, const char *exec_id)
{
    Task__CloseIORequest request = TASK__CLOSE_IOREQUEST__INIT;

    fill_close_input(&request, task, exec_id);
    call_without_waiting(task, "CloseIO", &request.base);
}

struct error *task_shim_pid(struct task *task, pid_t *ret_pid)
{
    Task__ConnectRequest request = TASK__CONNECT_REQUEST__INIT;
    ProtobufCMessage *message;

    request.id = task->id;
    TRY(call_and_wait(task, "Connect", &request.base, &message));
    Task__ConnectResponse *response = (Task__ConnectResponse *)message;
    *ret_pid = (pid_t)response->shim_pid;
    task__connect_response__free_unpacked(response, NULL);
    return NULL;
}

static struct error *unpack_metrics(const Google__Protobuf__Any *any, Cgroup2__Metrics **ret_metrics)
{
    if (!any || strcmp(any->type_url, cgroup2__metrics__descriptor.name))
        return error_new(ERROR_UNIMPLEMENTED, "the shim's statistics are not of cgroup v2");
    Cgroup2__Metrics *metrics = cgroup2__metrics__unpack(NULL, any->value.len, any->value.data);
    if (!metrics)
        return error_new(ERROR_DATA_LOSS, "the shim's statistics cannot be decoded");
    *ret_metrics = metrics;
    return NULL;
}

struct error *task_stats(struct task *task, Cgroup2__Metrics **ret_metrics)
{
    Task__StatsRequest request = TASK__STATS_REQUEST__INIT;
    ProtobufCMessage *message;

    request.id = task->id;
    TRY(call_and_wait(task, "Stats", &request.base, &message));
    Task__StatsResponse *response = (Task__StatsResponse *)message;
    struct error *error = unpack_metrics(response->stats, ret_metrics);
    task__stats_response__free_unpacked(response, NULL);
    return error;
}
