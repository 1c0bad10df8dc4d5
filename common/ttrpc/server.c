/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call outlives its connection and even its server when its handler answers late: it then has no session
 * any more and its answer goes nowhere. So each session keeps a list of its open calls and cuts them loose
 * when it ends.
 */
#include "ttrpc/connection.h"

#include "base/fd.h"
#include "proto/ttrpc.pb-c.h"

#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

/* Calls of one connection that wait for their answers. Waits are long, so there can be many. */
#define CALLS_MAX 1024

struct ttrpc_call {
    struct session *session; /* NULL when the connection has ended */
    uint32_t stream;
    uint64_t timeout;
    ProtobufCMessage *request;
    TAILQ_ENTRY(ttrpc_call) entry;
};

struct session {
    struct ttrpc_server *server;
    struct ttrpc_connection *connection;
    uint32_t last_stream;
    size_t call_count;
    TAILQ_HEAD(, ttrpc_call) calls;
    TAILQ_ENTRY(session) entry;
};

struct ttrpc_server {
    struct event_base *base;
    const struct ttrpc_service **services;
    size_t service_count;
    void *context;
    struct event *listener;
    TAILQ_HEAD(, session) sessions;
    size_t session_count;
};

struct ttrpc_server *ttrpc_server_new(
    struct event_base *base, const struct ttrpc_service *const *services, size_t service_count, void *context)
{
    struct ttrpc_server *server = must_new(struct ttrpc_server);
    *server = (struct ttrpc_server){.base = base, .service_count = service_count, .context = context};
    server->services = must_alloc_array(service_count, sizeof(*services));
    memcpy(server->services, services, service_count * sizeof(*services));
    TAILQ_INIT(&server->sessions);
    return server;
}

static void session_free(struct session *session)
{
    struct ttrpc_call *call;
    TAILQ_FOREACH (call, &session->calls, entry)
        call->session = NULL;
    TAILQ_REMOVE(&session->server->sessions, session, entry);
    session->server->session_count--;
    ttrpc_connection_free(session->connection);
    free(session);
}

static const struct ttrpc_service *find_service(const struct ttrpc_server *server, const char *name)
{
    for (size_t i = 0; i < server->service_count; i++) {
        if (strcmp(server->services[i]->name, name) == 0)
            return server->services[i];
    }
    return NULL;
}

static const struct ttrpc_method *find_method(const struct ttrpc_service *service, const char *name)
{
    for (size_t i = 0; i < service->method_count; i++) {
        if (strcmp(service->methods[i].name, name) == 0)
            return &service->methods[i];
    }
    return NULL;
}

static void send_status(struct session *session, uint32_t stream, const struct error *error)
{
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    status.code = (int32_t)error_code(error);
    status.message = (char *)(uintptr_t)error_message(error);
    Ttrpc__Response response = TTRPC__RESPONSE__INIT;
    response.status = &status;
    ttrpc_connection_send(session->connection, stream, TTRPC_RESPONSE, &response.base);
}

/* Finds the handler and decodes the request. */
static struct error *prepare_call(const struct ttrpc_server *server, const Ttrpc__Request *envelope,
    ttrpc_handler **ret_handler, ProtobufCMessage **ret_request)
{
    const struct ttrpc_service *service = find_service(server, envelope->service);
    if (!service)
        return error_new(ERROR_UNIMPLEMENTED, "service %.100s is not served here", envelope->service);
    const ProtobufCMethodDescriptor *described =
        protobuf_c_service_descriptor_get_method_by_name(service->descriptor, envelope->method);
    const struct ttrpc_method *method = find_method(service, envelope->method);
    if (!described || !method)
        return error_new(
            ERROR_UNIMPLEMENTED, "method %s/%.100s is not supported", service->name, envelope->method);
    ProtobufCMessage *request =
        protobuf_c_message_unpack(described->input, NULL, envelope->payload.len, envelope->payload.data);
    if (!request)
        return error_new(
            ERROR_INVALID_ARGUMENT, "the request of %s/%s cannot be decoded", service->name, method->name);
    *ret_handler = method->handler;
    *ret_request = request;
    return NULL;
}

static void dispatch(struct session *session, uint32_t stream, const Ttrpc__Request *envelope)
{
    ttrpc_handler *handler;
    ProtobufCMessage *request;
    _cleanup_error_ struct error *error = NULL;
    if (session->call_count >= CALLS_MAX)
        error = error_new(ERROR_RESOURCE_EXHAUSTED, "%d calls are waiting already", CALLS_MAX);
    else
        error = prepare_call(session->server, envelope, &handler, &request);
    if (error) {
        send_status(session, stream, error);
        return;
    }
    struct ttrpc_call *call = must_new(struct ttrpc_call);
    *call = (struct ttrpc_call){.session = session,
        .stream = stream,
        .timeout = envelope->timeout_nano > 0 ? (uint64_t)envelope->timeout_nano / 1000000 : 0,
        .request = request};
    TAILQ_INSERT_TAIL(&session->calls, call, entry);
    session->call_count++;
    handler(session->server->context, call, request);
}

static struct error *on_frame(void *context, const struct ttrpc_frame *frame)
{
    struct session *session = context;
    if (frame->type != TTRPC_REQUEST)
        return error_new(ERROR_INVALID_ARGUMENT, "the client sent a frame of type %u", frame->type);
    if (frame->stream % 2 == 0 || frame->stream <= session->last_stream)
        return error_new(ERROR_INVALID_ARGUMENT, "the client used stream id %u out of order", frame->stream);
    session->last_stream = frame->stream;
    Ttrpc__Request *envelope = ttrpc__request__unpack(NULL, frame->length, frame->payload);
    if (!envelope)
        return error_new(ERROR_INVALID_ARGUMENT, "the client sent a request that cannot be decoded");
    dispatch(session, frame->stream, envelope);
    ttrpc__request__free_unpacked(envelope, NULL);
    return NULL;
}

static void on_closed(void *context, const struct error *reason)
{
    session_free(context);
}

struct error *ttrpc_server_serve(struct ttrpc_server *server, int fd)
{
    static const struct ttrpc_connection_events events = {.frame = on_frame, .closed = on_closed};
    struct session *session = must_new(struct session);
    session->server = server;
    TAILQ_INIT(&session->calls);
    struct error *error = ttrpc_connection_new(server->base, fd, &events, session, &session->connection);
    if (error) {
        free(session);
        return error;
    }
    TAILQ_INSERT_TAIL(&server->sessions, session, entry);
    server->session_count++;
    return NULL;
}

static void on_incoming(evutil_socket_t listener, short what, void *argument)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        error_free(ttrpc_server_serve(argument, fd));
}

struct error *ttrpc_server_listen(struct ttrpc_server *server, int fd)
{
    server->listener = event_new(server->base, fd, EV_READ | EV_PERSIST, on_incoming, server);
    if (!server->listener || event_add(server->listener, NULL) < 0) {
        close_fd(fd);
        return error_new(ERROR_INTERNAL, "the event loop refused the listening socket");
    }
    return NULL;
}

size_t ttrpc_server_connection_count(const struct ttrpc_server *server)
{
    return server->session_count;
}

void ttrpc_server_free(struct ttrpc_server *server)
{
    if (!server)
        return;
    while (!TAILQ_EMPTY(&server->sessions))
        session_free(TAILQ_FIRST(&server->sessions));
    if (server->listener) {
        close_fd(event_get_fd(server->listener));
        event_free(server->listener);
    }
    free(server->services);
    free(server);
}

static void call_free(struct ttrpc_call *call)
{
    if (call->session) {
        TAILQ_REMOVE(&call->session->calls, call, entry);
        call->session->call_count--;
    }
    protobuf_c_message_free_unpacked(call->request, NULL);
    free(call);
}

static void send_response(struct ttrpc_call *call, ProtobufCBinaryData payload)
{
    Ttrpc__Response response = TTRPC__RESPONSE__INIT;
    response.payload = payload;
    if (ttrpc_connection_send(call->session->connection, call->stream, TTRPC_RESPONSE, &response.base))
        return;
    _cleanup_error_ struct error *error =
        error_new(ERROR_RESOURCE_EXHAUSTED, "the answer is longer than %u bytes", TTRPC_MESSAGE_MAX);
    send_status(call->session, call->stream, error);
}

void ttrpc_reply(struct ttrpc_call *call, const ProtobufCMessage *response)
{
    if (call->session) {
        size_t length;
        _cleanup_free_ uint8_t *packed = ttrpc_pack(response, &length);
        send_response(call, (ProtobufCBinaryData){.data = packed, .len = length});
    }
    call_free(call);
}

void ttrpc_reply_empty(struct ttrpc_call *call)
{
    if (call->session)
        send_response(call, (ProtobufCBinaryData){0});
    call_free(call);
}

void ttrpc_fail(struct ttrpc_call *call, struct error *error)
{
    if (call->session)
        send_status(call->session, call->stream, error);
    error_free(error);
    call_free(call);
}

uint64_t ttrpc_call_timeout(const struct ttrpc_call *call)
{
    return call->timeout;
}
