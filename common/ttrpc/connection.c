/* SPDX-License-Identifier: Apache-2.0 */
#include "ttrpc/connection.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <string.h>

/* PROTOCOL.md: length and stream id, each 32 bits big-endian, type, flags. */
#define HEADER_LENGTH 10
#define READ_SIZE (64 << 10)
/* A peer that calls but does not read its answers is not read from either. */
#define OUTPUT_LIMIT (4 * TTRPC_MESSAGE_MAX)

struct ttrpc_connection {
    int fd;
    struct event *readable;
    struct event *writable;
    struct evbuffer *input;
    struct evbuffer *output;
    const struct ttrpc_connection_events *events;
    void *context;
    bool ended;
    bool *freed; /* set when freed inside a callback */
};

static void end(struct ttrpc_connection *connection, const struct error *reason)
{
    if (connection->ended)
        return;
    connection->ended = true;
    event_del(connection->readable);
    event_del(connection->writable);
    connection->events->closed(connection->context, reason);
}

static uint32_t get_number(const uint8_t *bytes)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof(number));
    return ntohl(number);
}

/* Looks at the front of the input. *ret_length is 0 while the frame is not complete. */
static struct error *peek_frame(
    struct ttrpc_connection *connection, struct ttrpc_frame *frame, size_t *ret_length)
{
    *ret_length = 0;
    if (evbuffer_get_length(connection->input) < HEADER_LENGTH)
        return NULL;
    const uint8_t *header = evbuffer_pullup(connection->input, HEADER_LENGTH);
    uint32_t length = get_number(header);
    if (length > TTRPC_MESSAGE_MAX)
        return error_new(ERROR_RESOURCE_EXHAUSTED, "the peer sent a frame of %u bytes; %u is the most",
            length, TTRPC_MESSAGE_MAX);
    if (evbuffer_get_length(connection->input) < HEADER_LENGTH + length)
        return NULL;
    header = evbuffer_pullup(connection->input, (ev_ssize_t)(HEADER_LENGTH + length));
    *frame = (struct ttrpc_frame){.stream = get_number(header + 4),
        .type = header[8],
        .payload = header + HEADER_LENGTH,
        .length = length};
    *ret_length = HEADER_LENGTH + length;
    return NULL;
}

static struct error *handle_frames(struct ttrpc_connection *connection, const bool *freed)
{
    for (;;) {
        struct ttrpc_frame frame;
        size_t length;
        TRY(peek_frame(connection, &frame, &length));
        if (length == 0)
            return NULL;
        struct error *error = connection->events->frame(connection->context, &frame);
        if (*freed || error)
            return error;
        evbuffer_drain(connection->input, length);
        if (connection->ended)
            return NULL;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
    struct ttrpc_connection *connection = argument;
    int received = evbuffer_read(connection->input, fd, READ_SIZE);
    if (received < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    _cleanup_error_ struct error *error = NULL;
    bool freed = false;
    if (received < 0) {
        error = error_errno(errno, "the connection was lost");
    } else if (received == 0) {
        error = error_new(ERROR_UNAVAILABLE, "the peer closed the connection");
    } else {
        connection->freed = &freed;
        error = handle_frames(connection, &freed);
        if (freed)
            return;
        connection->freed = NULL;
    }
    if (error)
        end(connection, error);
}

static void flush(struct ttrpc_connection *connection)
{
    while (evbuffer_get_length(connection->output) > 0) {
        int written = evbuffer_write(connection->output, connection->fd);
        if (written < 0 && errno != EINTR)
            break;
    }
    size_t left = evbuffer_get_length(connection->output);
    if (left > 0)
        event_add(connection->writable, NULL);
    else
        event_del(connection->writable);
    if (left > OUTPUT_LIMIT)
        event_del(connection->readable);
    else if (!connection->ended)
        event_add(connection->readable, NULL);
}

static void on_writable(evutil_socket_t fd, short what, void *argument)
{
    flush(argument);
}

struct error *ttrpc_connection_new(struct event_base *base, int fd,
    const struct ttrpc_connection_events *events, void *context, struct ttrpc_connection **ret_connection)
{
    struct error *error = fd_set_nonblocking(fd, true);
    if (error) {
        close_fd(fd);
        return error;
    }
    struct ttrpc_connection *connection = must_new(struct ttrpc_connection);
    *connection = (struct ttrpc_connection){.fd = fd,
        .input = evbuffer_new(),
        .output = evbuffer_new(),
        .readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, connection),
        .writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, connection),
        .events = events,
        .context = context};
    if (!connection->input || !connection->output || !connection->readable || !connection->writable ||
        event_add(connection->readable, NULL) < 0) {
        ttrpc_connection_free(connection);
        return error_new(ERROR_INTERNAL, "the event loop refused a connection");
    }
    *ret_connection = connection;
    return NULL;
}

bool ttrpc_connection_send(
    struct ttrpc_connection *connection, uint32_t stream, uint8_t type, const ProtobufCMessage *message)
{
    if (connection->ended)
        return true;
    size_t length = protobuf_c_message_get_packed_size(message);
    if (length > TTRPC_MESSAGE_MAX)
        return false;
    struct evbuffer_iovec space;
    if (evbuffer_reserve_space(connection->output, (ev_ssize_t)(HEADER_LENGTH + length), &space, 1) < 1)
        abort();
    uint8_t *frame = space.iov_base;
    uint32_t numbers[2] = {htonl((uint32_t)length), htonl(stream)};
    memcpy(frame, numbers, sizeof(numbers));
    frame[8] = type;
    frame[9] = 0;
    protobuf_c_message_pack(message, frame + HEADER_LENGTH);
    space.iov_len = HEADER_LENGTH + length;
    evbuffer_commit_space(connection->output, &space, 1);
    flush(connection);
    return true;
}

void ttrpc_connection_free(struct ttrpc_connection *connection)
{
    if (!connection)
        return;
    if (connection->freed)
        *connection->freed = true;
    if (connection->readable)
        event_free(connection->readable);
    if (connection->writable)
        event_free(connection->writable);
    if (connection->input)
        evbuffer_free(connection->input);
    if (connection->output)
        evbuffer_free(connection->output);
    close_fd(connection->fd);
    free(connection);
}
