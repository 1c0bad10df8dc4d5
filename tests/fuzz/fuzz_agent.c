/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of a hostile host at the agent's handlers. An input is a list of calls, each the index of a
 * method, the length of its request (two bytes, little-endian) and the request. They reach the agent through
 * ttrpc, in namespaces of its own; what would run programs or mount what the machine has is only decoded.
 */
#include "agent/agent.h"
#include "base/fd.h"
#include "proto/ttrpc.pb-c.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>

#define CALLS_MAX 64

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    int namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWIPC;
    if (unshare(getuid() == 0 ? namespaces : namespaces | CLONE_NEWUSER) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, "mode=0755,size=16m") < 0) {
        perror("fuzz_agent: namespaces of its own");
        exit(1);
    }
    return 0;
}

/* Whether the agent may see the request: not when it could reach outside the namespaces. */
static bool is_safe(const char *method, const uint8_t *request, size_t length)
{
    if (strcmp(method, "CreateContainer") == 0) {
        grpc__create_container_request__free_unpacked(
            grpc__create_container_request__unpack(NULL, length, request), NULL);
        return false;
    }
    if (strcmp(method, "CreateSandbox") != 0)
        return true;
    Grpc__CreateSandboxRequest *sandbox = grpc__create_sandbox_request__unpack(NULL, length, request);
    bool safe = !sandbox || sandbox->n_storages == 0;
    grpc__create_sandbox_request__free_unpacked(sandbox, NULL);
    return safe;
}

/* A frame as in PROTOCOL.md of ttrpc: length, stream, type and flags, big-endian. */
static void send_call(int fd, uint32_t stream, const char *method, const uint8_t *request, size_t length)
{
    Ttrpc__Request envelope = TTRPC__REQUEST__INIT;
    envelope.service = "grpc.AgentService";
    envelope.method = method;
    envelope.payload.data = (uint8_t *)(uintptr_t)request;
    envelope.payload.len = length;
    size_t packed;
    _cleanup_free_ uint8_t *bytes = ttrpc_pack(&envelope.base, &packed);
    const uint8_t header[10] = {(uint8_t)(packed >> 24), (uint8_t)(packed >> 16), (uint8_t)(packed >> 8),
        (uint8_t)packed, (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8),
        (uint8_t)stream, 1, 0};
    error_free(fd_write_all(fd, header, sizeof(header)));
    error_free(fd_write_all(fd, bytes, packed));
}

static void send_calls(int fd, const uint8_t *data, size_t size)
{
    const ProtobufCServiceDescriptor *service = &grpc__agent_service__descriptor;
    for (uint32_t i = 0; i < CALLS_MAX && size >= 3; i++) {
        const char *method = service->methods[data[0] % service->n_methods].name;
        size_t length = data[1] | (size_t)data[2] << 8;
        data += 3;
        size -= 3;
        if (length > size)
            length = size;
        if (is_safe(method, data, length))
            send_call(fd, i * 2 + 1, method, data, length);
        data += length;
        size -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 60000)
        return 0;
    struct event_base *base = event_base_new();
    const struct agent_options options = {.kmsg = {.fd = open("/dev/null", O_WRONLY | O_CLOEXEC)}};
    struct agent *agent;
    error_free(agent_new(base, &options, &agent));
    int host, served;
    error_free(unix_pair(&host, &served));
    error_free(ttrpc_server_serve(agent->server, served));
    send_calls(host, data, size);
    shutdown(host, SHUT_WR);
    while (ttrpc_server_connection_count(agent->server) > 0 && event_base_loop(base, EVLOOP_ONCE) == 0) {
    }
    agent_free(agent);
    event_base_free(base);
    close_fd(options.kmsg.fd);
    close(host);
    return 0;
}
