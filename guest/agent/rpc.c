/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rpc.h"

static const struct ttrpc_method agent_methods[] = {
    {"CreateSandbox", rpc_create_sandbox},
    {"DestroySandbox", rpc_destroy_sandbox},
    {"CreateContainer", rpc_create_container},
    {"StartContainer", rpc_start_container},
    {"RemoveContainer", rpc_remove_container},
    {"UpdateContainer", rpc_update_container},
    {"StatsContainer", rpc_stats_container},
    {"PauseContainer", rpc_pause_container},
    {"ResumeContainer", rpc_resume_container},
    {"ExecProcess", rpc_exec_process},
    {"SignalProcess", rpc_signal_process},
    {"WaitProcess", rpc_wait_process},
    {"WriteStdin", rpc_write_stdin},
    {"ReadStdout", rpc_read_stdout},
    {"ReadStderr", rpc_read_stderr},
    {"CloseStdin", rpc_close_stdin},
    {"TtyWinResize", rpc_tty_win_resize},
    {"UpdateInterface", rpc_update_interface},
    {"UpdateRoutes", rpc_update_routes},
    {"ListInterfaces", rpc_list_interfaces},
    {"ListRoutes", rpc_list_routes},
    {"AddARPNeighbors", rpc_add_arp_neighbors},
    {"GetGuestDetails", rpc_get_guest_details},
    {"GetMetrics", rpc_get_metrics},
    {"SetGuestDateTime", rpc_set_guest_date_time},
    {"ReseedRandomDev", rpc_reseed_random_dev},
    {"OnlineCPUMem", rpc_online_cpu_mem},
    {"MemHotplugByProbe", rpc_mem_hotplug_by_probe},
    {"CopyFile", rpc_copy_file},
    {"GetOOMEvent", rpc_get_oom_event},
    {"GetVolumeStats", rpc_get_volume_stats},
    {"UpdateEphemeralMounts", rpc_update_ephemeral_mounts},
};

static const struct ttrpc_method health_methods[] = {
    {"Check", rpc_check},
    {"Version", rpc_version},
};

struct ttrpc_server *rpc_server_new(struct event_base *base, struct agent *agent)
{
    static const struct ttrpc_service agent_service = {.name = "grpc.AgentService",
        .descriptor = &grpc__agent_service__descriptor,
        .methods = agent_methods,
        .method_count = ARRAY_SIZE(agent_methods)};
    static const struct ttrpc_service health_service = {.name = "grpc.Health",
        .descriptor = &grpc__health__descriptor,
        .methods = health_methods,
        .method_count = ARRAY_SIZE(health_methods)};
    static const struct ttrpc_service *const services[] = {&agent_service, &health_service};
    return ttrpc_server_new(base, services, ARRAY_SIZE(services), agent);
}

void rpc_answer(struct ttrpc_call *call, struct error *error)
{
    if (error)
        ttrpc_fail(call, error);
    else
        ttrpc_reply_empty(call);
}
