/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/agent.h"

struct agent {
    struct ttrpc_client *client;
};

struct error *agent_new(
    struct event_base *base, int fd, ttrpc_closed *closed, void *context, struct agent **ret_agent)
{
    struct agent *agent = must_new(struct agent);
    struct error *error = ttrpc_client_new(base, fd, closed, context, &agent->client);
    if (error) {
        free(agent);
        return error;
    }
    *ret_agent = agent;
    return NULL;
}

void agent_free(struct agent *agent)
{
    if (!agent)
        return;
    ttrpc_client_free(agent->client);
    free(agent);
}

static void call(
    struct agent *agent, const char *method, const ProtobufCMessage *request, ttrpc_done *done, void *context)
{
    ttrpc_client_call(
        agent->client, &grpc__agent_service__descriptor, method, request, AGENT_PATIENCE, done, context);
}

static void call_and_wait(
    struct agent *agent, const char *method, const ProtobufCMessage *request, ttrpc_done *done, void *context)
{
    ttrpc_client_call(agent->client, &grpc__agent_service__descriptor, method, request, 0, done, context);
}

void agent_create_sandbox(
    struct agent *agent, const Grpc__CreateSandboxRequest *request, ttrpc_done *done, void *context)
{
    call(agent, "CreateSandbox", &request->base, done, context);
}

void agent_destroy_sandbox(struct agent *agent, ttrpc_done *done, void *context)
{
    Grpc__DestroySandboxRequest request = GRPC__DESTROY_SANDBOX_REQUEST__INIT;
    call(agent, "DestroySandbox", &request.base, done, context);
}

void agent_update_interface(
    struct agent *agent, const Grpc__UpdateInterfaceRequest *request, ttrpc_done *done, void *context)
{
    call(agent, "UpdateInterface", &request->base, done, context);
}

void agent_update_routes(
    struct agent *agent, const Grpc__UpdateRoutesRequest *request, ttrpc_done *done, void *context)
{
    call(agent, "UpdateRoutes", &request->base, done, context);
}

void agent_add_neighbours(
    struct agent *agent, const Grpc__AddARPNeighborsRequest *request, ttrpc_done *done, void *context)
{
    call(agent, "AddARPNeighbors", &request->base, done, context);
}

void agent_add_memory(
    struct agent *agent, const Grpc__MemHotplugByProbeRequest *request, ttrpc_done *done, void *context)
{
    call(agent, "MemHotplugByProbe", &request->base, done, context);
}

void agent_add_vcpus(
    struct agent *agent, const Grpc__OnlineCPUMemRequest *request, ttrpc_done *done, void *context)
{
    call(agent, "OnlineCPUMem", &request->base, done, context);
}

void agent_reseed(
    struct agent *agent, const Grpc__ReseedRandomDevRequest *request, ttrpc_done *done, void *context)
{
    call(agent, "ReseedRandomDev", &request->base, done, context);
}

void agent_set_time(
    struct agent *agent, const Grpc__SetGuestDateTimeRequest *request, ttrpc_done *done, void *context)
{
    call(agent, "SetGuestDateTime", &request->base, done, context);
}

void agent_copy_file(
    struct agent *agent, const Grpc__CopyFileRequest *request, ttrpc_done *done, void *context)
{
    call(agent, "CopyFile", &request->base, done, context);
}

void agent_create_container(
    struct agent *agent, const Grpc__CreateContainerRequest *request, ttrpc_done *done, void *context)
{
    call(agent, "CreateContainer", &request->base, done, context);
}

void agent_start_container(struct agent *agent, const char *container_id, ttrpc_done *done, void *context)
{
    Grpc__StartContainerRequest request = GRPC__START_CONTAINER_REQUEST__INIT;
    request.container_id = container_id;
    call(agent, "StartContainer", &request.base, done, context);
}

void agent_remove_container(struct agent *agent, const char *container_id, ttrpc_done *done, void *context)
{
    Grpc__RemoveContainerRequest request = GRPC__REMOVE_CONTAINER_REQUEST__INIT;
    request.container_id = container_id;
    call(agent, "RemoveContainer", &request.base, done, context);
}

void agent_exec_process(
    struct agent *agent, const Grpc__ExecProcessRequest *request, ttrpc_done *done, void *context)
{
    call(agent, "ExecProcess", &request->base, done, context);
}

void agent_signal_process(struct agent *agent, const char *container_id, const char *exec_id, uint32_t signal,
    ttrpc_done *done, void *context)
{
    Grpc__SignalProcessRequest request = GRPC__SIGNAL_PROCESS_REQUEST__INIT;
    request.container_id = container_id;
    request.exec_id = exec_id;
    request.signal = signal;
    call(agent, "SignalProcess", &request.base, done, context);
}

void agent_wait_process(
    struct agent *agent, const char *container_id, const char *exec_id, ttrpc_done *done, void *context)
{
    Grpc__WaitProcessRequest request = GRPC__WAIT_PROCESS_REQUEST__INIT;
    request.container_id = container_id;
    request.exec_id = exec_id;
    call_and_wait(agent, "WaitProcess", &request.base, done, context);
}

void agent_resize_terminal(struct agent *agent, const char *container_id, const char *exec_id, uint32_t rows,
    uint32_t columns, ttrpc_done *done, void *context)
{
    Grpc__TtyWinResizeRequest request = GRPC__TTY_WIN_RESIZE_REQUEST__INIT;
    request.container_id = container_id;
    request.exec_id = exec_id;
    request.row = rows;
    request.column = columns;
    call(agent, "TtyWinResize", &request.base, done, context);
}

void agent_pause_container(struct agent *agent, const char *container_id, ttrpc_done *done, void *context)
{
    Grpc__PauseContainerRequest request = GRPC__PAUSE_CONTAINER_REQUEST__INIT;
    request.container_id = container_id;
    call(agent, "PauseContainer", &request.base, done, context);
}

void agent_resume_container(struct agent *agent, const char *container_id, ttrpc_done *done, void *context)
{
    Grpc__ResumeContainerRequest request = GRPC__RESUME_CONTAINER_REQUEST__INIT;
    request.container_id = container_id;
    call(agent, "ResumeContainer", &request.base, done, context);
}

void agent_update_container(
    struct agent *agent, const Grpc__UpdateContainerRequest *request, ttrpc_done *done, void *context)
{
    call(agent, "UpdateContainer", &request->base, done, context);
}

void agent_stats_container(struct agent *agent, const char *container_id, ttrpc_done *done, void *context)
{
    Grpc__StatsContainerRequest request = GRPC__STATS_CONTAINER_REQUEST__INIT;
    request.container_id = container_id;
    call(agent, "StatsContainer", &request.base, done, context);
}

void agent_get_oom_event(struct agent *agent, ttrpc_done *done, void *context)
{
    Grpc__GetOOMEventRequest request = GRPC__GET_OOMEVENT_REQUEST__INIT;
    call_and_wait(agent, "GetOOMEvent", &request.base, done, context);
}
