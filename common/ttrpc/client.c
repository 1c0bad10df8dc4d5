/* SPDX-License-Identifier: Apache-2.0 */
#include "ttrpc/connection.h"

#include "proto/ttrpc.pb-c.h"

#include <string.h>
#include <sys/queue.h>

struct pending {
    struct ttrpc_client *client;
    uint32_t stream;
    const ProtobufCMessageDescriptor *expected;
    struct event *timer; /* NULL: waits as long as it takes */
    ttrpc_done *done;
    void *context;
    TAILQ_ENTRY(pending) entry;
};

struct ttrpc_client {
    struct event_base *base;
    struct ttrpc_connection *connection;
    uint32_t next_stream;
    TAILQ_HEAD(, pending) calls;
    ttrpc_closed *closed;
    void *context;
    char *lost; /* why the connection has ended; NULL while it lives */
};

uint8_t *ttrpc_pack(const ProtobufCMessage *message, size_t *ret_length)
{
    *ret_length = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = must_alloc(*ret_length);
    protobuf_c_message_pack(message, packed);
    return packed;
}

static void finish(struct pending *call, struct error *error, const ProtobufCMessage *response)
{
    TAILQ_REMOVE(&call->client->calls, call, entry);
    if (call->timer)
        event_free(call->timer);
    call->done(call->context, error, response);
    free(call);
}

static struct pending *find_call(struct ttrpc_client *client, uint32_t stream)
{
    struct pending *call;
    TAILQ_FOREACH (call, &client->calls, entry) {
        if (call->stream == stream)
            return call;
    }
    return NULL;
}

static void finish_with(struct pending *call, const Ttrpc__Response *envelope)
{
    if (envelope->status && envelope->status->code != 0) {
        int32_t code = envelope->status->code;
        bool known = code > 0 && code <= ERROR_UNAUTHENTICATED;
        finish(call,
            error_new(known ? (enum error_code)code : ERROR_UNKNOWN, "%s", envelope->status->message), NULL);
        return;
    }
    ProtobufCMessage *response =
        protobuf_c_message_unpack(call->expected, NULL, envelope->payload.len, envelope->payload.data);
    if (!response) {
        finish(call, error_new(ERROR_DATA_LOSS, "the server's answer cannot be decoded"), NULL);
        return;
    }
    finish(call, NULL, response);
    protobuf_c_message_free_unpacked(response, NULL);
}

/* An answer to a call that was given up is passed over. */
static struct error *on_frame(void *context, const struct ttrpc_frame *frame)
{
    struct ttrpc_client *client = context;
    if (frame->type != TTRPC_RESPONSE)
        return error_new(ERROR_INVALID_ARGUMENT, "the server sent a frame of type %u", frame->type);
    struct pending *call = find_call(client, frame->stream);
    if (!call)
        return NULL;
    Ttrpc__Response *envelope = ttrpc__response__unpack(NULL, frame->length, frame->payload);
    if (!envelope)
        return error_new(ERROR_INVALID_ARGUMENT, "the server sent a response that cannot be decoded");
    finish_with(call, envelope);
    ttrpc__response__free_unpacked(envelope, NULL);
    return NULL;
}

static void fail_all(struct ttrpc_client *client, enum error_code code, const char *reason)
{
    while (!TAILQ_EMPTY(&client->calls))
        finish(TAILQ_FIRST(&client->calls), error_new(code, "%s", reason), NULL);
}

static void on_closed(void *context, const struct error *reason)
{
    struct ttrpc_client *client = context;
    client->lost = must_copy(error_message(reason));
    fail_all(client, ERROR_UNAVAILABLE, client->lost);
    if (client->closed)
        client->closed(client->context, reason);
}

struct error *ttrpc_client_new(
    struct event_base *base, int fd, ttrpc_closed *closed, void *context, struct ttrpc_client **ret_client)
{
    static const struct ttrpc_connection_events events = {.frame = on_frame, .closed = on_closed};
    struct ttrpc_client *client = must_new(struct ttrpc_client);
    *client = (struct ttrpc_client){.base = base, .next_stream = 1, .closed = closed, .context = context};
    TAILQ_INIT(&client->calls);
    struct error *error = ttrpc_connection_new(base, fd, &events, client, &client->connection);
    if (error) {
        free(client);
        return error;
    }
    *ret_client = client;
    return NULL;
}

static void on_timeout(evutil_socket_t fd, short what, void *argument)
{
    struct pending *call = argument;
    finish(call,
        call->client->lost ? error_new(ERROR_UNAVAILABLE, "%s", call->client->lost)
                           : error_new(ERROR_DEADLINE_EXCEEDED, "no answer came in time"),
        NULL);
}

static bool send_request(struct ttrpc_client *client, const ProtobufCServiceDescriptor *service,
    const char *method, const ProtobufCMessage *request, uint64_t timeout, uint32_t stream)
{
    size_t length;
    _cleanup_free_ uint8_t *packed = ttrpc_pack(request, &length);
    Ttrpc__Request envelope = TTRPC__REQUEST__INIT;
    envelope.service = (char *)(uintptr_t)service->name;
    envelope.method = (char *)(uintptr_t)method;
    envelope.payload = (ProtobufCBinaryData){.data = packed, .len = length};
    envelope.timeout_nano = (int64_t)timeout * 1000000;
    return ttrpc_connection_send(client->connection, stream, TTRPC_REQUEST, &envelope.base);
}

static void arm_timer(struct pending *call, uint64_t milliseconds)
{
    struct timeval delay = {
        .tv_sec = (time_t)(milliseconds / 1000), .tv_usec = (suseconds_t)(milliseconds % 1000) * 1000};
    call->timer = evtimer_new(call->client->base, on_timeout, call);
    if (!call->timer || event_add(call->timer, &delay) < 0)
        abort();
}

void ttrpc_client_call(struct ttrpc_client *client, const ProtobufCServiceDescriptor *service,
    const char *method, const ProtobufCMessage *request, uint64_t timeout, ttrpc_done *done, void *context)
{
    const ProtobufCMethodDescriptor *described =
        protobuf_c_service_descriptor_get_method_by_name(service, method);
    if (!described)
        abort();
    struct pending *call = must_new(struct pending);
    *call = (struct pending){.client = client,
        .stream = client->next_stream,
        .expected = described->output,
        .done = done,
        .context = context};
    client->next_stream += 2;
    TAILQ_INSERT_TAIL(&client->calls, call, entry);
    /* A connection that is gone answers from the loop too, so that `done` never runs inside the call. */
    if (client->lost || timeout > 0)
        arm_timer(call, client->lost ? 0 : timeout);
    if (!client->lost && !send_request(client, service, method, request, timeout, call->stream)) {
        if (call->timer)
            event_free(call->timer);
        call->timer = NULL;
        finish(call,
            error_new(ERROR_RESOURCE_EXHAUSTED, "the request is longer than %u bytes", TTRPC_MESSAGE_MAX),
            NULL);
    }
}

struct waiter {
    bool finished;
    struct error *error;
    ProtobufCMessage *response;
};

/* The answer is borrowed here, so it is kept as a copy. */
static void on_answer(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct waiter *waiter = context;
    waiter->finished = true;
    waiter->error = error;
    if (!response)
        return;
    size_t length;
    _cleanup_free_ uint8_t *packed = ttrpc_pack(response, &length);
    waiter->response = protobuf_c_message_unpack(response->descriptor, NULL, length, packed);
}

struct error *ttrpc_client_call_and_wait(struct ttrpc_client *client,
    const ProtobufCServiceDescriptor *service, const char *method, const ProtobufCMessage *request,
    uint64_t timeout, ProtobufCMessage **ret_response)
{
    struct waiter waiter = {0};
    ttrpc_client_call(client, service, method, request, timeout, on_answer, &waiter);
    while (!waiter.finished) {
        if (event_base_loop(client->base, EVLOOP_ONCE) != 0 && !waiter.finished)
            abort();
    }
    if (waiter.error)
        return waiter.error;
    if (ret_response)
        *ret_response = waiter.response;
    else if (waiter.response)
        protobuf_c_message_free_unpacked(waiter.response, NULL);
    return NULL;
}

void ttrpc_client_free(struct ttrpc_client *client)
{
    if (!client)
        return;
    fail_all(client, ERROR_CANCELLED, client->lost ? client->lost : "the call was given up");
    ttrpc_connection_free(client->connection);
    free(client->lost);
    free(client);
}
