/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rpc.h"

#include "base/fd.h"
#include "base/path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>

#define DNS_SERVERS_MAX 16

/* ---- creation ---- */

static struct error *set_host_name(const char *name)
{
    if (name[0] == '\0')
        return NULL;
    /* HOST_NAME_MAX of Linux */
    if (strlen(name) > 64)
        return error_new(ERROR_INVALID_ARGUMENT, "a host name has at most 64 characters: %.80s", name);
    if (sethostname(name, strlen(name)) < 0)
        return error_errno(errno, "setting the host name to %s", name);
    return NULL;
}

/* What the sandbox was told, for containers that bring no file of their own. */
static struct error *write_resolv_conf(const Grpc__CreateSandboxRequest *request)
{
    if (request->n_dns == 0)
        return NULL;
    if (request->n_dns > DNS_SERVERS_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "more than %d lines of DNS settings", DNS_SERVERS_MAX);
    _cleanup_free_ char *text = must_copy("");
    for (size_t i = 0; i < request->n_dns; i++) {
        char *longer = must_printf("%s%s\n", text, request->dns[i]);
        free(text);
        text = longer;
    }
    return file_write_text(AT_FDCWD, AGENT_SANDBOX_DIRECTORY "/resolv.conf", text);
}

static struct error *set_up_sandbox(struct agent *agent, const Grpc__CreateSandboxRequest *request)
{
    if (request->sandbox_id[0] != '\0')
        TRY(identifier_check("sandbox id", request->sandbox_id));
    if (request->n_kernel_modules > 0)
        return error_new(ERROR_UNIMPLEMENTED, "the guest kernel has no modules to load");
    TRY(set_host_name(request->hostname));
    TRY(directory_create_all(AGENT_SANDBOX_DIRECTORY, 0755));
    TRY(write_resolv_conf(request));
    agent->share_pid_namespace = request->sandbox_pidns;
    return NULL;
}

static void on_storages(void *context, struct error *error)
{
    struct agent *agent = context;
    agent->state = error ? SANDBOX_BOOTED : SANDBOX_READY;
    if (error)
        error_free(storage_set_free(TAKE_PTR(agent->storages)));
    rpc_answer(TAKE_PTR(agent->create_call), error_wrap(error, "creating the sandbox"));
}

void rpc_create_sandbox(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    struct agent *agent = context;
    const Grpc__CreateSandboxRequest *request = (const void *)message;
    struct error *error = sandbox_state_check(agent->state, CALL_CREATE_SANDBOX);
    if (!error)
        error = error_wrap(set_up_sandbox(agent, request), "creating the sandbox");
    if (error) {
        ttrpc_fail(call, error);
        return;
    }
    agent->state = SANDBOX_CREATING;
    agent->create_call = call;
    agent->storages = storage_set_new(
        agent->base, agent->mounts, request->storages, request->n_storages, on_storages, agent);
    storage_set_mount(agent->storages);
}

/* ---- end ---- */

void rpc_destroy_sandbox(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    struct agent *agent = context;
    struct error *error = sandbox_state_check(agent->state, CALL_DESTROY_SANDBOX);
    if (error) {
        ttrpc_fail(call, error);
        return;
    }
    agent_destroy_sandbox(agent);
    ttrpc_reply_empty(call);
}

/* ---- out of memory ---- */

void rpc_get_oom_event(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    struct agent *agent = context;
    agent_waiters_add(&agent->oom_waiters, call);
    struct agent_container *container;
    LIST_FOREACH (container, &agent->containers, entry)
        agent_check_oom(container);
}

/* ---- volumes ---- */

static struct error *update_mounts(struct agent *agent, const Grpc__UpdateEphemeralMountsRequest *request)
{
    TRY(sandbox_state_check(agent->state, CALL_SETUP));
    for (size_t i = 0; i < request->n_storages; i++)
        TRY(storage_table_update(agent->mounts, request->storages[i]));
    return NULL;
}
RPC_HANDLER(rpc_update_ephemeral_mounts, update_mounts, Grpc__UpdateEphemeralMountsRequest);

void rpc_get_volume_stats(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const Grpc__VolumeStatsRequest *request = (const void *)message;
    struct statvfs stats;
    if (statvfs(request->volume_guest_path, &stats) < 0) {
        ttrpc_fail(call, error_errno(errno, "the volume %s", request->volume_guest_path));
        return;
    }
    Grpc__VolumeUsage bytes = GRPC__VOLUME_USAGE__INIT;
    bytes.unit = GRPC__VOLUME_USAGE__UNIT__BYTES;
    bytes.total = stats.f_blocks * stats.f_frsize;
    bytes.available = stats.f_bavail * stats.f_frsize;
    bytes.used = (stats.f_blocks - stats.f_bfree) * stats.f_frsize;
    Grpc__VolumeUsage inodes = GRPC__VOLUME_USAGE__INIT;
    inodes.unit = GRPC__VOLUME_USAGE__UNIT__INODES;
    inodes.total = stats.f_files;
    inodes.available = stats.f_ffree;
    inodes.used = stats.f_files - stats.f_ffree;
    Grpc__VolumeUsage *usage[] = {&bytes, &inodes};
    Grpc__VolumeStatsResponse reply = GRPC__VOLUME_STATS_RESPONSE__INIT;
    reply.n_usage = ARRAY_SIZE(usage);
    reply.usage = usage;
    ttrpc_reply(call, &reply.base);
}
