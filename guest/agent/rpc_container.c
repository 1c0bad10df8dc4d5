/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rpc.h"

#include <fcntl.h>
#include <string.h>

/* The annotation of config.json by which a container asks for a small init as its PID 1. */
#define INIT_ANNOTATION "io.caisson.init"

/* ---- creation ---- */

/* The request goes with its answer; the container keeps its spec. */
static struct error *copy_spec(const Grpc__Spec *spec, Grpc__Spec **ret_spec)
{
    size_t length;
    _cleanup_free_ uint8_t *bytes = ttrpc_pack(&spec->base, &length);
    Grpc__Spec *copy = grpc__spec__unpack(NULL, length, bytes);
    if (!copy)
        return error_new(ERROR_INVALID_ARGUMENT, "the OCI configuration cannot be read");
    *ret_spec = copy;
    return NULL;
}

/* The descriptor of the pid namespace that the container shares, or -1. */
static int shared_pid_namespace(const struct agent_container *container)
{
    return container->create_request->sandbox_pidns ? container->agent->pid_namespace : -1;
}

/* Hosts leave it out, because whose it is, is said by sandbox_pidns; and the agent's own is nobody else's. */
static void add_pid_namespace(Grpc__Linux *linux_config)
{
    for (size_t i = 0; i < linux_config->n_namespaces; i++) {
        if (strcmp(linux_config->namespaces[i]->type, "pid") == 0)
            return;
    }
    Grpc__LinuxNamespace *namespace = must_new(Grpc__LinuxNamespace);
    *namespace = (Grpc__LinuxNamespace)GRPC__LINUX_NAMESPACE__INIT;
    namespace->type = must_copy("pid");
    size_t count = linux_config->n_namespaces + 1;
    linux_config->namespaces =
        must_resize(linux_config->namespaces, count, sizeof(*linux_config->namespaces));
    linux_config->namespaces[count - 1] = namespace;
    linux_config->n_namespaces = count;
}

static struct error *prepare_spec(const struct agent_container *container, Grpc__Spec **ret_spec)
{
    Grpc__Spec *spec = NULL;
    TRY(copy_spec(container->create_request->oci, &spec));
    struct error *error = device_set_rewrite(container->devices, spec);
    if (error) {
        grpc__spec__free_unpacked(spec, NULL);
        return error;
    }
    if (spec->linux_config && shared_pid_namespace(container) < 0)
        add_pid_namespace(spec->linux_config);
    *ret_spec = spec;
    return NULL;
}

static bool wants_init(const Grpc__Spec *spec)
{
    for (size_t i = 0; i < spec->n_annotations; i++) {
        if (strcmp(spec->annotations[i]->key, INIT_ANNOTATION) == 0)
            return strcmp(spec->annotations[i]->value, "true") == 0;
    }
    return false;
}

static struct error *make_container(
    struct agent_container *container, struct stdio *stdio, struct container_process *ret_process)
{
    struct agent *agent = container->agent;
    Grpc__Spec *spec;
    TRY(prepare_spec(container, &spec));
    struct container_options options = {.id = container->id,
        .bundle = spec->root ? spec->root->path : "/",
        .spec = spec,
        .streams = stdio_child_streams(stdio),
        .pid_namespace = shared_pid_namespace(container),
        .init = wants_init(spec),
        .cgroup_root = agent->options.cgroup_root};
    struct error *error = container_create(&options, &container->container, ret_process);
    if (error)
        grpc__spec__free_unpacked(spec, NULL);
    return error;
}

/* The first container's pid namespace is everybody's where the sandbox was asked to share one. When its first
   process ends, so does everybody in it, and the next container's takes its place. */
static void keep_pid_namespace(struct agent_container *container)
{
    struct agent *agent = container->agent;
    if (!agent->share_pid_namespace || agent->pid_namespace >= 0)
        return;
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/ns/pid", container->init->pid);
    agent->pid_namespace = open(path, O_RDONLY | O_CLOEXEC);
    container->owns_shared_pids = true;
}

static struct error *finish_creation(struct agent_container *container)
{
    struct agent *agent = container->agent;
    const Grpc__CreateContainerRequest *request = container->create_request;
    const struct stdio_ports ports = {request->stdin_port, request->stdout_port, request->stderr_port};
    _cleanup_(stdio_free) struct stdio *stdio = NULL;
    TRY(stdio_new(agent->base, agent->link, &ports, request->oci->process->terminal, &stdio));
    struct container_process process;
    TRY(make_container(container, stdio, &process));
    TRY(stdio_process_started(stdio, process.terminal));
    const char *exec_id = request->exec_id[0] != '\0' ? request->exec_id : container->id;
    container->init = agent_add_process(container, exec_id, process.pid, TAKE_PTR(stdio));
    container->state = CONTAINER_CREATED;
    keep_pid_namespace(container);
    agent_watch_oom(container);
    return NULL;
}

static void on_devices(void *context, struct error *error)
{
    struct agent_container *container = context;
    struct agent *agent = container->agent;
    if (!error)
        error = finish_creation(container);
    device_set_free(TAKE_PTR(container->devices));
    struct ttrpc_call *call = TAKE_PTR(container->create_call);
    if (error) {
        kmsg_error(&agent->options.kmsg, KMSG_WARNING, agent_remove_container(container));
    }
    rpc_answer(call, error);
}

static void on_storages(void *context, struct error *error)
{
    struct agent_container *container = context;
    if (error)
        on_devices(container, error);
    else
        device_set_wait(container->devices);
}

static struct error *check_creation(const struct agent *agent, const Grpc__CreateContainerRequest *request)
{
    TRY(sandbox_state_check(agent->state, CALL_CREATE_CONTAINER));
    if (!request->oci || !request->oci->process || !request->oci->root)
        return error_new(
            ERROR_INVALID_ARGUMENT, "the OCI configuration of a container has to have a process and a root");
    if (request->n_shared_mounts > 0)
        return error_new(ERROR_UNIMPLEMENTED, "this agent passes no shared mounts to containers");
    return NULL;
}

void rpc_create_container(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    struct agent *agent = context;
    const Grpc__CreateContainerRequest *request = (const void *)message;
    struct agent_container *container;
    struct error *error = check_creation(agent, request);
    if (!error)
        error = agent_add_container(agent, request->container_id, &container);
    if (error) {
        ttrpc_fail(call, error);
        return;
    }
    container->create_call = call;
    container->create_request = request;
    container->devices =
        device_set_new(agent->base, request->devices, request->n_devices, on_devices, container);
    container->storages = storage_set_new(
        agent->base, agent->mounts, request->storages, request->n_storages, on_storages, container);
    storage_set_mount(container->storages);
}

/* ---- life ---- */

static struct error *start_container(struct agent *agent, const Grpc__StartContainerRequest *request)
{
    struct agent_container *container;
    TRY(agent_find_container_for(agent, request->container_id, CALL_START_CONTAINER, &container));
    struct error *error = container_start(container->container);
    container->state = error ? CONTAINER_STOPPED : CONTAINER_RUNNING;
    return error_wrap(error, "starting the container %s", container->id);
}
RPC_HANDLER(rpc_start_container, start_container, Grpc__StartContainerRequest);

static struct error *remove_container(struct agent *agent, const Grpc__RemoveContainerRequest *request)
{
    struct agent_container *container;
    TRY(agent_find_container_for(agent, request->container_id, CALL_REMOVE_CONTAINER, &container));
    /* What did not go as it should is for the log: the container is gone, and asking again would not help. */
    kmsg_error(&agent->options.kmsg, KMSG_WARNING, agent_remove_container(container));
    return NULL;
}
RPC_HANDLER(rpc_remove_container, remove_container, Grpc__RemoveContainerRequest);

static struct error *pause_container(struct agent *agent, const Grpc__PauseContainerRequest *request)
{
    struct agent_container *container;
    TRY(agent_find_container_for(agent, request->container_id, CALL_PAUSE_CONTAINER, &container));
    TRY(error_wrap(container_pause(container->container), "pausing the container %s", container->id));
    container->state = CONTAINER_PAUSED;
    return NULL;
}
RPC_HANDLER(rpc_pause_container, pause_container, Grpc__PauseContainerRequest);

static struct error *resume_container(struct agent *agent, const Grpc__ResumeContainerRequest *request)
{
    struct agent_container *container;
    TRY(agent_find_container_for(agent, request->container_id, CALL_RESUME_CONTAINER, &container));
    TRY(error_wrap(container_resume(container->container), "resuming the container %s", container->id));
    container->state = CONTAINER_RUNNING;
    return NULL;
}
RPC_HANDLER(rpc_resume_container, resume_container, Grpc__ResumeContainerRequest);

static struct error *update_container(struct agent *agent, const Grpc__UpdateContainerRequest *request)
{
    struct agent_container *container;
    TRY(agent_find_container_for(agent, request->container_id, CALL_UPDATE_CONTAINER, &container));
    if (!request->resources)
        return NULL;
    return error_wrap(container_update(container->container, request->resources), "updating the container %s",
        container->id);
}
RPC_HANDLER(rpc_update_container, update_container, Grpc__UpdateContainerRequest);
