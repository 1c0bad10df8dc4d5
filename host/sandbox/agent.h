/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent as the sandbox calls it: one function for each call of Kata's protocol that is needed here.
 *
 * Every call ends in its `done` exactly once (see ttrpc_client_call), with CANCELLED from inside agent_free.
 * Calls that wait for the guest have no time limit; the others fail with DEADLINE_EXCEEDED after
 * AGENT_PATIENCE milliseconds.
 */
#pragma once

#include "base/error.h"
#include "proto/agent.pb-c.h"
#include "ttrpc/ttrpc.h"

#include <event2/event.h>
#include <stdint.h>

/* Ports of the guest: Kata's agent, and Caisson's streams (Kata's passfd port). */
#define AGENT_PORT 1024
#define AGENT_STREAM_PORT 1027

#define AGENT_PATIENCE 120000

struct agent;

/* Takes the connected socket. */
struct error *agent_new(
    struct event_base *base, int fd, ttrpc_closed *closed, void *context, struct agent **ret_agent);
/* Takes NULL. */
void agent_free(struct agent *agent);

void agent_create_sandbox(
    struct agent *agent, const Grpc__CreateSandboxRequest *request, ttrpc_done *done, void *context);
/* Unmounts everything and powers the guest off. */
void agent_destroy_sandbox(struct agent *agent, ttrpc_done *done, void *context);
void agent_update_interface(
    struct agent *agent, const Grpc__UpdateInterfaceRequest *request, ttrpc_done *done, void *context);
void agent_update_routes(
    struct agent *agent, const Grpc__UpdateRoutesRequest *request, ttrpc_done *done, void *context);
void agent_add_neighbours(
    struct agent *agent, const Grpc__AddARPNeighborsRequest *request, ttrpc_done *done, void *context);
/* Memory that the machine was made with and the guest has not used so far. */
void agent_add_memory(
    struct agent *agent, const Grpc__MemHotplugByProbeRequest *request, ttrpc_done *done, void *context);
/* The same of processors. */
void agent_add_vcpus(
    struct agent *agent, const Grpc__OnlineCPUMemRequest *request, ttrpc_done *done, void *context);
void agent_reseed(
    struct agent *agent, const Grpc__ReseedRandomDevRequest *request, ttrpc_done *done, void *context);
void agent_set_time(
    struct agent *agent, const Grpc__SetGuestDateTimeRequest *request, ttrpc_done *done, void *context);
void agent_copy_file(
    struct agent *agent, const Grpc__CopyFileRequest *request, ttrpc_done *done, void *context);

void agent_create_container(
    struct agent *agent, const Grpc__CreateContainerRequest *request, ttrpc_done *done, void *context);
void agent_start_container(struct agent *agent, const char *container_id, ttrpc_done *done, void *context);
/* Kills what is left of it. */
void agent_remove_container(struct agent *agent, const char *container_id, ttrpc_done *done, void *context);
void agent_exec_process(
    struct agent *agent, const Grpc__ExecProcessRequest *request, ttrpc_done *done, void *context);
/* exec_id "": all processes of the container. */
void agent_signal_process(struct agent *agent, const char *container_id, const char *exec_id, uint32_t signal,
    ttrpc_done *done, void *context);
/* The response is a Grpc__WaitProcessResponse. No time limit. */
void agent_wait_process(
    struct agent *agent, const char *container_id, const char *exec_id, ttrpc_done *done, void *context);
void agent_resize_terminal(struct agent *agent, const char *container_id, const char *exec_id, uint32_t rows,
    uint32_t columns, ttrpc_done *done, void *context);

void agent_pause_container(struct agent *agent, const char *container_id, ttrpc_done *done, void *context);
void agent_resume_container(struct agent *agent, const char *container_id, ttrpc_done *done, void *context);
void agent_update_container(
    struct agent *agent, const Grpc__UpdateContainerRequest *request, ttrpc_done *done, void *context);
/* The response is a Grpc__StatsContainerResponse. */
void agent_stats_container(struct agent *agent, const char *container_id, ttrpc_done *done, void *context);
/* The response is a Grpc__OOMEvent. No time limit. */
void agent_get_oom_event(struct agent *agent, ttrpc_done *done, void *context);
