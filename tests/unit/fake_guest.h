/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine without a machine: a hypervisor of the table in hv.h whose guest is a scripted agent in the
 * test's own event loop, reached through real sockets and real ttrpc. It does what it is told, notes what it
 * was asked, and can be made to fail, to stay silent or to die at any call.
 */
#pragma once

#include "base/fd.h"
#include "hv/hv.h"
#include "proto/agent.pb-c.h"
#include "sandbox/agent.h"
#include "ttrpc/ttrpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <cmocka.h>

#define FAKE_STREAMS 16
#define FAKE_PID 4242

struct fake_wait {
    struct ttrpc_call *call;
    char *container_id;
    char *exec_id;
    TAILQ_ENTRY(fake_wait) entry;
};

struct fake_guest {
    struct hv hv; /* what hv.h's callers hold */
    struct event_base *base;
    const struct hv_events *events;
    void *events_context;
    struct ttrpc_server *agent;
    char calls[4096];   /* names of the calls, each with a space behind */
    const char *fail;   /* the call, or the step of the machine, that fails */
    const char *silent; /* the one that is never answered */
    const char *die;    /* the one at which the machine dies */
    struct ttrpc_call *unanswered[FAKE_STREAMS];
    size_t unanswered_count;
    struct ttrpc_call *memory_call; /* GetOOMEvent */
    TAILQ_HEAD(, fake_wait) waits;
    int streams[FAKE_STREAMS]; /* the guest's ends; [port], -1 when there is none */
    uint32_t next_port;
    uint32_t stdin_port; /* of the last Create or Exec */
    uint32_t stdout_port;
    uint32_t stderr_port;
    Grpc__CreateContainerRequest *created; /* a copy of the last one */
    Grpc__CreateSandboxRequest *sandbox;   /* the same of CreateSandbox */
    unsigned machines;                     /* that live */
    int disks;                             /* attached while it ran */
    bool stopped_told;
    struct event *stop_soon;
    struct event *start_soon;
    hv_done *start_done;
    void *start_context;
};

/* The table of hv.h has no context: the guest of the test that runs. */
static struct fake_guest *fake;

static void fake_note(const char *name)
{
    assert_true(strlen(fake->calls) + strlen(name) + 2 < sizeof(fake->calls));
    strcat(fake->calls, name);
    strcat(fake->calls, " ");
}

static bool fake_is(const char *chosen, const char *name)
{
    return chosen && strcmp(chosen, name) == 0;
}

static void fake_stop(struct hv *hv)
{
    event_active(fake->stop_soon, EV_TIMEOUT, 0);
}

/* Whether the call is to be answered as usual. */
static bool fake_admit(struct ttrpc_call *call, const char *name)
{
    fake_note(name);
    if (fake_is(fake->fail, name)) {
        ttrpc_fail(call, error_new(ERROR_INTERNAL, "the test made %s fail", name));
        return false;
    }
    if (fake_is(fake->silent, name) || fake_is(fake->die, name)) {
        fake->unanswered[fake->unanswered_count++] = call;
        if (fake_is(fake->die, name))
            fake_stop(NULL);
        return false;
    }
    return true;
}

#define FAKE_EMPTY_ANSWER(function, name)                                                         \
    static void function(void *context, struct ttrpc_call *call, const ProtobufCMessage *message) \
    {                                                                                             \
        if (fake_admit(call, name))                                                               \
            ttrpc_reply_empty(call);                                                              \
    }

FAKE_EMPTY_ANSWER(fake_update_interface, "UpdateInterface")
FAKE_EMPTY_ANSWER(fake_update_routes, "UpdateRoutes")
FAKE_EMPTY_ANSWER(fake_copy_file, "CopyFile")
FAKE_EMPTY_ANSWER(fake_start_container, "StartContainer")
FAKE_EMPTY_ANSWER(fake_remove_container, "RemoveContainer")
FAKE_EMPTY_ANSWER(fake_pause_container, "PauseContainer")
FAKE_EMPTY_ANSWER(fake_resume_container, "ResumeContainer")
FAKE_EMPTY_ANSWER(fake_update_container, "UpdateContainer")
FAKE_EMPTY_ANSWER(fake_resize, "TtyWinResize")

static void fake_create_sandbox(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    if (!fake_admit(call, "CreateSandbox"))
        return;
    size_t length = 0;
    _cleanup_free_ uint8_t *bytes = ttrpc_pack(message, &length);
    if (fake->sandbox)
        grpc__create_sandbox_request__free_unpacked(fake->sandbox, NULL);
    fake->sandbox = grpc__create_sandbox_request__unpack(NULL, length, bytes);
    ttrpc_reply_empty(call);
}

static void fake_destroy_sandbox(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    if (!fake_admit(call, "DestroySandbox"))
        return;
    ttrpc_reply_empty(call);
    fake_stop(NULL);
}

static void fake_remember_ports(uint32_t in, uint32_t out, uint32_t error)
{
    fake->stdin_port = in;
    fake->stdout_port = out;
    fake->stderr_port = error;
}

static void fake_create_container(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const Grpc__CreateContainerRequest *request = (const Grpc__CreateContainerRequest *)message;
    if (!fake_admit(call, "CreateContainer"))
        return;
    fake_remember_ports(request->stdin_port, request->stdout_port, request->stderr_port);
    size_t length = 0;
    _cleanup_free_ uint8_t *bytes = ttrpc_pack(message, &length);
    if (fake->created)
        grpc__create_container_request__free_unpacked(fake->created, NULL);
    fake->created = grpc__create_container_request__unpack(NULL, length, bytes);
    ttrpc_reply_empty(call);
}

static void fake_exec_process(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const Grpc__ExecProcessRequest *request = (const Grpc__ExecProcessRequest *)message;
    if (!fake_admit(call, "ExecProcess"))
        return;
    fake_remember_ports(request->stdin_port, request->stdout_port, request->stderr_port);
    ttrpc_reply_empty(call);
}

static void fake_wait_process(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const Grpc__WaitProcessRequest *request = (const Grpc__WaitProcessRequest *)message;
    if (!fake_admit(call, "WaitProcess"))
        return;
    struct fake_wait *wait = must_new(struct fake_wait);
    wait->call = call;
    wait->container_id = must_copy(request->container_id);
    wait->exec_id = must_copy(request->exec_id);
    TAILQ_INSERT_TAIL(&fake->waits, wait, entry);
}

static void fake_close_stream(uint32_t port)
{
    if (port > 0 && port < FAKE_STREAMS)
        close_fd(TAKE_FD(fake->streams[port]));
}

/* The process ends; its streams do when the test closes them, or with `streams`. */
static void fake_exit(const char *container_id, const char *exec_id, int status, bool streams)
{
    struct fake_wait *wait;
    TAILQ_FOREACH (wait, &fake->waits, entry) {
        if (strcmp(wait->container_id, container_id) == 0 && strcmp(wait->exec_id, exec_id) == 0)
            break;
    }
    if (!wait) {
        fail_msg("nobody waits for %s/%s", container_id, exec_id);
        return;
    }
    Grpc__WaitProcessResponse response = GRPC__WAIT_PROCESS_RESPONSE__INIT;
    response.status = status;
    ttrpc_reply(wait->call, &response.base);
    TAILQ_REMOVE(&fake->waits, wait, entry);
    free(wait->container_id);
    free(wait->exec_id);
    free(wait);
    for (uint32_t port = 1; streams && port < FAKE_STREAMS; port++)
        fake_close_stream(port);
}

/* SIGKILL ends what it is sent to, SIGUSR1 and others do nothing. */
static void fake_signal_process(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const Grpc__SignalProcessRequest *request = (const Grpc__SignalProcessRequest *)message;
    if (!fake_admit(call, "SignalProcess"))
        return;
    if (request->signal == 9)
        fake_exit(
            request->container_id, *request->exec_id ? request->exec_id : request->container_id, 137, true);
    ttrpc_reply_empty(call);
}

static void fake_stats_container(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    if (!fake_admit(call, "StatsContainer"))
        return;
    Grpc__NumberEntry inactive = GRPC__NUMBER_ENTRY__INIT;
    inactive.key = "inactive_file";
    inactive.value = 4096;
    Grpc__NumberEntry unknown = GRPC__NUMBER_ENTRY__INIT;
    unknown.key = "base";
    unknown.value = 1;
    Grpc__NumberEntry *lines[] = {&inactive, &unknown};
    Grpc__MemoryData usage = GRPC__MEMORY_DATA__INIT;
    usage.usage = 10000;
    usage.limit = 1 << 20;
    Grpc__MemoryStats memory = GRPC__MEMORY_STATS__INIT;
    memory.usage = &usage;
    memory.stats = lines;
    memory.n_stats = 2;
    Grpc__CpuUsage cpu_usage = GRPC__CPU_USAGE__INIT;
    cpu_usage.total_usage = 7000;
    Grpc__CpuStats cpu = GRPC__CPU_STATS__INIT;
    cpu.cpu_usage = &cpu_usage;
    Grpc__CgroupStats cgroup = GRPC__CGROUP_STATS__INIT;
    cgroup.memory_stats = &memory;
    cgroup.cpu_stats = &cpu;
    Grpc__StatsContainerResponse response = GRPC__STATS_CONTAINER_RESPONSE__INIT;
    response.cgroup_stats = &cgroup;
    ttrpc_reply(call, &response.base);
}

static void fake_get_oom_event(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    if (fake_admit(call, "GetOOMEvent"))
        fake->memory_call = call;
}

static const struct ttrpc_method fake_methods[] = {
    {"CreateSandbox", fake_create_sandbox},
    {"DestroySandbox", fake_destroy_sandbox},
    {"UpdateInterface", fake_update_interface},
    {"UpdateRoutes", fake_update_routes},
    {"CopyFile", fake_copy_file},
    {"CreateContainer", fake_create_container},
    {"StartContainer", fake_start_container},
    {"RemoveContainer", fake_remove_container},
    {"ExecProcess", fake_exec_process},
    {"SignalProcess", fake_signal_process},
    {"WaitProcess", fake_wait_process},
    {"PauseContainer", fake_pause_container},
    {"ResumeContainer", fake_resume_container},
    {"UpdateContainer", fake_update_container},
    {"StatsContainer", fake_stats_container},
    {"TtyWinResize", fake_resize},
    {"GetOOMEvent", fake_get_oom_event},
};

static const struct ttrpc_service fake_agent_service = {.name = "grpc.AgentService",
    .descriptor = &grpc__agent_service__descriptor,
    .methods = fake_methods,
    .method_count = ARRAY_SIZE(fake_methods)};

/* ---- the machine ---- */

static const struct ttrpc_service *const fake_services[] = {&fake_agent_service};

static struct error *fake_hv_create(struct event_base *base, const struct hv_config *config,
    const struct hv_events *events, void *context, struct hv **ret_hv)
{
    fake_note("machine-create");
    if (fake_is(fake->fail, "machine-create"))
        return error_new(ERROR_INTERNAL, "the test made machine-create fail");
    fake->events = events;
    fake->events_context = context;
    fake->machines++;
    fake->stopped_told = false;
    fake->agent = ttrpc_server_new(base, fake_services, 1, fake);
    *ret_hv = &fake->hv;
    return NULL;
}

static void fake_started(evutil_socket_t fd, short what, void *context)
{
    bool fails = fake_is(fake->fail, "machine-start");
    fake->start_done(
        fake->start_context, fails ? error_new(ERROR_INTERNAL, "the test made machine-start fail") : NULL);
}

static void fake_hv_start(struct hv *hv, hv_done *done, void *context)
{
    fake_note("machine-start");
    fake->start_done = done;
    fake->start_context = context;
    if (!fake_is(fake->silent, "machine-start"))
        event_active(fake->start_soon, EV_TIMEOUT, 0);
}

static struct error *fake_hv_connect(struct hv *hv, uint32_t port, int *ret_fd, uint32_t *ret_host_port)
{
    int host = -1;
    int guest = -1;
    if (fake_is(fake->fail, port == AGENT_PORT ? "connect-agent" : "connect-stream"))
        return error_new(ERROR_INTERNAL, "the test made a connection fail");
    assert_null(unix_pair(&host, &guest));
    if (port == AGENT_PORT) {
        assert_null(ttrpc_server_serve(fake->agent, guest));
    } else {
        assert_true(fake->next_port < FAKE_STREAMS);
        fake->streams[fake->next_port] = guest;
        if (ret_host_port)
            *ret_host_port = fake->next_port;
        fake->next_port++;
    }
    *ret_fd = host;
    return NULL;
}

/* Disks that come while it runs are there at once. */
static void fake_hv_attach(struct hv *hv, const struct hv_disk *disk, hv_attached *done, void *context)
{
    fake_note("attach-disk");
    fake->disks++;
    if (fake_is(fake->fail, "attach-disk"))
        done(context, error_new(ERROR_INTERNAL, "the test made attach-disk fail"), NULL);
    else
        done(context, NULL, "0:1");
}

static void fake_hv_detach(struct hv *hv, const char *address, hv_done *done, void *context)
{
    fake->disks--;
    done(context, NULL);
}

static void fake_forget_calls(void)
{
    struct fake_wait *wait;
    for (size_t i = 0; i < fake->unanswered_count; i++)
        ttrpc_fail(fake->unanswered[i], error_new(ERROR_CANCELLED, "the machine is gone"));
    fake->unanswered_count = 0;
    while ((wait = TAILQ_FIRST(&fake->waits))) {
        ttrpc_fail(wait->call, error_new(ERROR_CANCELLED, "the machine is gone"));
        TAILQ_REMOVE(&fake->waits, wait, entry);
        free(wait->container_id);
        free(wait->exec_id);
        free(wait);
    }
    if (fake->memory_call)
        ttrpc_fail(TAKE_PTR(fake->memory_call), error_new(ERROR_CANCELLED, "the machine is gone"));
}

/* As when the process of a hypervisor ends: all connections close. */
static void fake_power_off(void)
{
    ttrpc_server_free(TAKE_PTR(fake->agent));
    fake_forget_calls();
    for (uint32_t port = 1; port < FAKE_STREAMS; port++)
        fake_close_stream(port);
}

static void fake_stopped(evutil_socket_t fd, short what, void *context)
{
    if (fake->machines == 0 || fake->stopped_told)
        return;
    fake->stopped_told = true;
    fake_power_off();
    _cleanup_error_ struct error *reason =
        fake->die ? error_new(ERROR_UNAVAILABLE, "the test killed the machine") : NULL;
    fake->events->stopped(fake->events_context, reason);
}

static pid_t fake_hv_process(const struct hv *hv)
{
    return FAKE_PID;
}

static void fake_hv_timings(const struct hv *hv, struct hv_timings *ret_timings)
{
    *ret_timings = (struct hv_timings){.spawned = 1, .ready = 2};
}

static char *fake_hv_console(const struct hv *hv)
{
    return must_copy("");
}

static void fake_hv_destroy(struct hv *hv)
{
    fake_power_off();
    event_del(fake->start_soon);
    event_del(fake->stop_soon);
    fake->machines--;
}

static const struct hv_ops fake_ops = {.name = "fake",
    .capabilities = HV_SHARE | HV_USER_NETWORK | HV_ATTACH_DISK,
    .create = fake_hv_create,
    .start = fake_hv_start,
    .attach_disk = fake_hv_attach,
    .detach_disk = fake_hv_detach,
    .connect = fake_hv_connect,
    .stop = fake_stop,
    .process = fake_hv_process,
    .timings = fake_hv_timings,
    .console = fake_hv_console,
    .destroy = fake_hv_destroy};

static struct error *fake_choose(const char *name, const struct hv_ops **ret_ops, char **ret_reason)
{
    if (fake_is(fake->fail, "choose"))
        return error_new(ERROR_FAILED_PRECONDITION, "the test has no hypervisor");
    *ret_ops = &fake_ops;
    *ret_reason = must_copy("it is a test");
    return NULL;
}

static void fake_guest_begin(struct event_base *base)
{
    fake = must_new(struct fake_guest);
    fake->hv.ops = &fake_ops;
    fake->base = base;
    fake->next_port = 1;
    fake->start_soon = evtimer_new(base, fake_started, NULL);
    fake->stop_soon = evtimer_new(base, fake_stopped, NULL);
    TAILQ_INIT(&fake->waits);
    for (uint32_t port = 0; port < FAKE_STREAMS; port++)
        fake->streams[port] = -1;
}

static void fake_guest_end(void)
{
    assert_int_equal(fake->machines, 0);
    fake_power_off();
    event_free(fake->start_soon);
    event_free(fake->stop_soon);
    if (fake->created)
        grpc__create_container_request__free_unpacked(fake->created, NULL);
    if (fake->sandbox)
        grpc__create_sandbox_request__free_unpacked(fake->sandbox, NULL);
    free(TAKE_PTR(fake));
}
