/* SPDX-License-Identifier: Apache-2.0 */
/*
 * containerd.runtime.sandbox.v1.Sandbox: a pod whose machine is started before its containers and needs no
 * pause container. Its containers come and go through the Task service.
 */
#include "proto/sandbox.pb-c.h"
#include "shim/shim.h"

#include "shim/usage.h"

#include <string.h>
#include <sys/utsname.h>

#define REQUEST(type, message) const type *request = (const type *)(message)

static Google__Protobuf__Timestamp timestamp(struct timespec at)
{
    Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    timestamp.seconds = at.tv_sec;
    timestamp.nanos = (int32_t)at.tv_nsec;
    return timestamp;
}

/* NULL when the call has been failed. */
static struct pod *find(struct shim *shim, struct ttrpc_call *call, const char *id)
{
    if (shim->pod && strcmp(shim->pod->id, id) == 0)
        return shim->pod;
    ttrpc_fail(call, error_new(ERROR_NOT_FOUND, "sandbox %s: not found", id));
    return NULL;
}

/* ---- life ---- */

static struct error *create(struct shim *shim, const Sandbox__CreateSandboxRequest *request)
{
    if (shim->pod || sandbox_state(shim->sandbox) != SANDBOX_EMPTY)
        return error_new(ERROR_ALREADY_EXISTS, "sandbox %s: already exists", request->sandbox_id);
    return pod_new(request, &shim->pod);
}

static void handle_create(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    struct error *error = create(context, (const Sandbox__CreateSandboxRequest *)message);
    if (error)
        ttrpc_fail(call, error);
    else
        ttrpc_reply_empty(call);
}

struct starting {
    struct shim *shim;
    struct ttrpc_call *call;
};

static void started(void *context, struct error *error)
{
    _cleanup_free_ struct starting *starting = context;
    struct shim *shim = starting->shim;
    if (error) {
        shim->pod->started = false;
        ttrpc_fail(starting->call, error);
        return;
    }
    Google__Protobuf__Timestamp at = timestamp(shim->pod->created_at);
    Sandbox__StartSandboxResponse response = SANDBOX__START_SANDBOX_RESPONSE__INIT;
    response.pid = (uint32_t)sandbox_process_id(shim->sandbox);
    response.created_at = &at;
    ttrpc_reply(starting->call, &response.base);
}

static void handle_start(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Sandbox__StartSandboxRequest, message);
    struct shim *shim = context;
    struct pod *pod = find(shim, call, request->sandbox_id);
    if (!pod)
        return;
    if (pod->started) {
        ttrpc_fail(call, error_new(ERROR_FAILED_PRECONDITION, "sandbox %s has been started", pod->id));
        return;
    }
    struct sandbox_pod wish = pod_wish(pod);
    struct starting *starting = must_new(struct starting);
    *starting = (struct starting){.shim = shim, .call = call};
    pod->started = true;
    sandbox_start(shim->sandbox, &wish, started, starting);
}

static void stopped(void *context, struct error *error)
{
    struct shim *shim = context;
    error_free(error);
    pod_has_stopped(shim->pod);
}

static void handle_stop(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Sandbox__StopSandboxRequest, message);
    struct shim *shim = context;
    struct pod *pod = find(shim, call, request->sandbox_id);
    if (!pod)
        return;
    pod->stop_wanted = true;
    pod_await_stop(pod, call);
    if (!shim->ending)
        sandbox_shutdown(shim->sandbox, stopped, shim);
}

static void handle_shutdown(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Sandbox__ShutdownSandboxRequest, message);
    struct pod *pod = find(context, call, request->sandbox_id);
    if (!pod)
        return;
    pod->stop_wanted = true;
    shim_end(context, call);
}

/* ---- questions ---- */

static void handle_wait(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Sandbox__WaitSandboxRequest, message);
    struct pod *pod = find(context, call, request->sandbox_id);
    if (pod)
        pod_wait(pod, call);
}

/* The words are CRI's. */
static void handle_status(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Sandbox__SandboxStatusRequest, message);
    struct shim *shim = context;
    const struct pod *pod = find(shim, call, request->sandbox_id);
    if (!pod)
        return;
    bool runs = sandbox_state(shim->sandbox) == SANDBOX_RUNNING;
    Google__Protobuf__Timestamp created_at = timestamp(pod->created_at);
    Google__Protobuf__Timestamp exited_at = timestamp(pod->exited_at);
    Sandbox__SandboxStatusResponse response = SANDBOX__SANDBOX_STATUS_RESPONSE__INIT;
    response.sandbox_id = pod->id;
    response.pid = (uint32_t)sandbox_process_id(shim->sandbox);
    response.state = runs ? "SANDBOX_READY" : "SANDBOX_NOTREADY";
    response.created_at = &created_at;
    response.exited_at = pod->ended ? &exited_at : NULL;
    ttrpc_reply(call, &response.base);
}

static void handle_ping(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Sandbox__PingRequest, message);
    if (find(context, call, request->sandbox_id))
        ttrpc_reply_empty(call);
}

/* Go's names for machines (https://go.dev/doc/install/source#environment). */
static const char *architecture(const struct utsname *machine)
{
    if (strcmp(machine->machine, "x86_64") == 0)
        return "amd64";
    return strcmp(machine->machine, "aarch64") == 0 ? "arm64" : machine->machine;
}

static void handle_platform(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Sandbox__PlatformRequest, message);
    if (!find(context, call, request->sandbox_id))
        return;
    struct utsname machine;
    uname(&machine);
    Containerd__Platform platform = CONTAINERD__PLATFORM__INIT;
    platform.os = "linux";
    platform.architecture = architecture(&machine);
    Sandbox__PlatformResponse response = SANDBOX__PLATFORM_RESPONSE__INIT;
    response.platform = &platform;
    ttrpc_reply(call, &response.base);
}

static void reply_metrics(
    const struct shim *shim, struct ttrpc_call *call, const Grpc__StatsContainerResponse *stats)
{
    struct timespec now;
    size_t length = 0;
    _cleanup_free_ uint8_t *bytes = metrics_pack(stats, shim->metrics, &length);
    clock_gettime(CLOCK_REALTIME, &now);
    Google__Protobuf__Timestamp at = timestamp(now);
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = metrics_type(shim->metrics);
    any.value = (ProtobufCBinaryData){.data = bytes, .len = length};
    Containerd__Metric metric = CONTAINERD__METRIC__INIT;
    metric.id = shim->pod->id;
    metric.timestamp = &at;
    metric.data = &any;
    Sandbox__SandboxMetricsResponse response = SANDBOX__SANDBOX_METRICS_RESPONSE__INIT;
    response.metrics = &metric;
    ttrpc_reply(call, &response.base);
}

/* What the machine costs the host, kernel and agent of the guest included. */
static void handle_metrics(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    REQUEST(Sandbox__SandboxMetricsRequest, message);
    struct shim *shim = context;
    struct usage usage;
    if (!find(shim, call, request->sandbox_id))
        return;
    struct error *error = usage_of_process(sandbox_process_id(shim->sandbox), &usage);
    if (error) {
        ttrpc_fail(call, error);
        return;
    }
    Grpc__CpuUsage cpu_usage = GRPC__CPU_USAGE__INIT;
    cpu_usage.usage_in_usermode = usage.user_time;
    cpu_usage.usage_in_kernelmode = usage.system_time;
    cpu_usage.total_usage = usage.user_time + usage.system_time;
    Grpc__CpuStats cpu = GRPC__CPU_STATS__INIT;
    cpu.cpu_usage = &cpu_usage;
    Grpc__MemoryData memory_usage = GRPC__MEMORY_DATA__INIT;
    memory_usage.usage = usage.memory;
    Grpc__MemoryStats memory = GRPC__MEMORY_STATS__INIT;
    memory.usage = &memory_usage;
    Grpc__CgroupStats cgroup = GRPC__CGROUP_STATS__INIT;
    cgroup.cpu_stats = &cpu;
    cgroup.memory_stats = &memory;
    Grpc__StatsContainerResponse stats = GRPC__STATS_CONTAINER_RESPONSE__INIT;
    stats.cgroup_stats = &cgroup;
    reply_metrics(shim, call, &stats);
}

static const struct ttrpc_method methods[] = {
    {"CreateSandbox", handle_create},
    {"StartSandbox", handle_start},
    {"Platform", handle_platform},
    {"StopSandbox", handle_stop},
    {"WaitSandbox", handle_wait},
    {"SandboxStatus", handle_status},
    {"PingSandbox", handle_ping},
    {"ShutdownSandbox", handle_shutdown},
    {"SandboxMetrics", handle_metrics},
};

const struct ttrpc_service shim_sandbox = {.name = "containerd.runtime.sandbox.v1.Sandbox",
    .descriptor = &sandbox__sandbox__descriptor,
    .methods = methods,
    .method_count = ARRAY_SIZE(methods)};
