/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent without a machine: its real handlers, link and server in the test's own event loop and in
 * namespaces of their own, called as the host calls them, by ttrpc over a mux.
 */
#pragma once

#include "agent/agent.h"
#include "base/fd.h"
#include "proto/health.pb-c.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cmocka.h>

struct agent_world {
    struct event_base *base;
    struct agent *agent;
    struct mux *host;
    bool ready;
    bool lost; /* a link has failed */
    struct ttrpc_client *client;
};

/* Ends a test that hangs. */
#define AGENT_CALL_MS 60000

/* Once in a program, before anything else: /run is an empty file system of our own, and so are the host name
   and the network. False without the rights for it. */
static inline bool agent_world_isolate(void)
{
    return unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWIPC) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") == 0;
}

static inline void agent_world_ready(void *context)
{
    ((struct agent_world *)context)->ready = true;
}

static inline bool agent_world_incoming(void *context, uint32_t port, struct mux_stream *stream)
{
    return false;
}

static inline void agent_world_failed(void *context, const struct error *reason)
{
    ((struct agent_world *)context)->lost = true;
}

static inline void agent_check(struct error *error)
{
    if (error)
        fail_msg("%s: %s", error_code_name(error_code(error)), error_message(error));
}

static inline struct agent_world *agent_world_new(const char *cgroup_root)
{
    static const struct mux_events events = {
        .ready = agent_world_ready, .incoming = agent_world_incoming, .failed = agent_world_failed};
    signal(SIGPIPE, SIG_IGN);
    struct agent_world *world = must_new(struct agent_world);
    world->base = event_base_new();
    const struct agent_options options = {.cgroup_root = cgroup_root, .kmsg = {.fd = STDERR_FILENO}};
    agent_check(agent_new(world->base, &options, &world->agent));
    int host, guest, rpc, stream_end;
    agent_check(unix_pair(&host, &guest));
    agent_check(
        link_new(world->base, guest, world->agent->server, agent_world_failed, world, &world->agent->link));
    agent_check(mux_new(world->base, host, true, &events, world, &world->host));
    while (!world->ready)
        assert_int_equal(event_base_loop(world->base, EVLOOP_ONCE), 0);
    struct mux_stream *stream;
    agent_check(mux_open(world->host, LINK_PORT_AGENT, &stream));
    agent_check(unix_pair(&rpc, &stream_end));
    mux_attach_socket(stream, stream_end, NULL, NULL);
    agent_check(ttrpc_client_new(world->base, rpc, NULL, NULL, &world->client));
    return world;
}

static inline void agent_world_free(struct agent_world *world)
{
    ttrpc_client_free(world->client);
    struct link *link = world->agent->link;
    agent_free(world->agent);
    link_free(link);
    mux_free(world->host);
    event_base_free(world->base);
    free(world);
}

static inline struct error *agent_call(struct agent_world *world, const char *method,
    const ProtobufCMessage *request, ProtobufCMessage **ret_reply)
{
    return ttrpc_client_call_and_wait(
        world->client, &grpc__agent_service__descriptor, method, request, AGENT_CALL_MS, ret_reply);
}

/* Fails the test unless the call fails with this code and a sentence that has the part. */
static inline void agent_refuses(struct agent_world *world, const char *method,
    const ProtobufCMessage *request, enum error_code code, const char *part)
{
    struct error *error = agent_call(world, method, request, NULL);
    if (error_code(error) != code || !strstr(error ? error_message(error) : "", part))
        fail_msg("%s: %s: %s (wanted %s, \"%s\")", method, error_code_name(error_code(error)),
            error ? error_message(error) : "", error_code_name(code), part);
    error_free(error);
}

static inline void agent_make_sandbox(struct agent_world *world)
{
    Grpc__CreateSandboxRequest request = GRPC__CREATE_SANDBOX_REQUEST__INIT;
    request.hostname = "unit";
    agent_check(agent_call(world, "CreateSandbox", &request.base, NULL));
}
