/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that the agent answers: grpc.AgentService and grpc.Health, one table each. The handlers are in
 * rpc_*.c by concern; what has no handler answers UNIMPLEMENTED.
 */
#pragma once

#include "agent/agent.h"

#include "proto/health.pb-c.h"

#define RPC_AGENT_VERSION CAISSON_VERSION

/* A server with both services, whose handlers work on that agent. */
struct ttrpc_server *rpc_server_new(struct event_base *base, struct agent *agent);

/* Fails the call with the error, which is consumed, or answers it with an empty message. */
void rpc_answer(struct ttrpc_call *call, struct error *error);

/* Defines the handler of a call that is answered at once and with nothing: FUNCTION(agent, request). */
#define RPC_HANDLER(handler, function, request_type)                                                      \
    void handler(void *context, struct ttrpc_call *call, const ProtobufCMessage *request)                 \
    {                                                                                                     \
        rpc_answer(call, function((struct agent *)context, (const request_type *)(const void *)request)); \
    }                                                                                                     \
    struct rpc_handler_needs_a_semicolon

ttrpc_handler rpc_create_sandbox, rpc_destroy_sandbox, rpc_get_volume_stats, rpc_update_ephemeral_mounts,
    rpc_get_oom_event; /* rpc_sandbox.c */
ttrpc_handler rpc_create_container, rpc_start_container, rpc_remove_container, rpc_update_container,
    rpc_stats_container, rpc_pause_container, rpc_resume_container; /* rpc_container.c */
ttrpc_handler rpc_exec_process, rpc_signal_process, rpc_wait_process, rpc_write_stdin, rpc_read_stdout,
    rpc_read_stderr, rpc_close_stdin, rpc_tty_win_resize; /* rpc_process.c */
ttrpc_handler rpc_update_interface, rpc_update_routes, rpc_list_interfaces, rpc_list_routes,
    rpc_add_arp_neighbors; /* rpc_network.c */
ttrpc_handler rpc_get_guest_details, rpc_get_metrics, rpc_set_guest_date_time, rpc_reseed_random_dev,
    rpc_online_cpu_mem, rpc_mem_hotplug_by_probe, rpc_check, rpc_version; /* rpc_guest.c */
ttrpc_handler rpc_copy_file;                                              /* rpc_files.c */
