/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a stranger at a ttrpc server: whatever comes, the server lives and frees all it took. */
#include "base/fd.h"
#include "proto/health.pb-c.h"
#include "ttrpc/ttrpc.h"

#include <sys/socket.h>

static void answer(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const Grpc__CheckRequest *request = (const Grpc__CheckRequest *)message;
    Grpc__VersionCheckResponse response = GRPC__VERSION_CHECK_RESPONSE__INIT;
    response.grpc_version = request->service;
    ttrpc_reply(call, &response.base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ttrpc_method methods[] = {{"Version", answer}};
    const struct ttrpc_service service = {.name = "grpc.Health",
        .descriptor = &grpc__health__descriptor,
        .methods = methods,
        .method_count = 1};
    const struct ttrpc_service *const services[] = {&service};
    if (size > 60000)
        return 0;
    struct event_base *base = event_base_new();
    struct ttrpc_server *server = ttrpc_server_new(base, services, 1, NULL);
    int raw, served;
    error_free(unix_pair(&raw, &served));
    error_free(ttrpc_server_serve(server, served));
    error_free(fd_write_all(raw, data, size));
    shutdown(raw, SHUT_WR);
    while (ttrpc_server_connection_count(server) > 0 && event_base_loop(base, EVLOOP_ONCE) == 0) {
    }
    ttrpc_server_free(server);
    event_base_free(base);
    close(raw);
    return 0;
}
