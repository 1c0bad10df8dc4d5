/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each side of a stream tells the other how large its buffer is and how much of it its reader has taken, in
 * every packet; the difference to what was sent is the credit. Ours is `pending`, which holds what the socket
 * did not take at once; a guest that sends more than its credit loses the stream. Towards the guest there is
 * no buffer: data stays in the socket until the guest has both credit and a place in its queue.
 */
#include "vmm/virtio/vsock_stream.h"

#include "base/parse.h"

#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#define SPACE (UINT32_C(128) << 10)
#define PARTS_AT_ONCE 8

static void greet(struct vsock_stream *stream);
static void forward(struct vsock_stream *stream);

static void on_readable(void *context)
{
    struct vsock_stream *stream = context;
    struct vsock *vsock = stream->vsock;
    if (vsock->stale) {
        vsock_catch_up(vsock);
        return;
    }
    if (stream->state == VSOCK_GREETING) {
        greet(stream);
    } else {
        stream->has_data = true;
        virtio_watch_enable(stream->readable, false);
        vsock_schedule(stream);
    }
    vsock_pump(vsock);
}

static void on_writable(void *context)
{
    struct vsock_stream *stream = context;
    struct vsock *vsock = stream->vsock;
    if (vsock->stale) {
        vsock_catch_up(vsock);
        return;
    }
    forward(stream);
    vsock_pump(vsock);
}

struct vsock_stream *vsock_stream_new(struct vsock *vsock, int fd, enum vsock_state state)
{
    struct virtio_bus *bus = vsock->device.bus;
    struct vsock_stream *stream = must_new(struct vsock_stream);
    *stream = (struct vsock_stream){.vsock = vsock, .fd = fd, .state = state, .pending = evbuffer_new()};
    vsock->stream_count++;
    LIST_INSERT_HEAD(&vsock->buckets[VSOCK_BUCKETS], stream, bucket);
    struct error *error = virtio_watch_new(bus, fd, EV_READ, on_readable, stream, &stream->readable);
    if (!error)
        error = virtio_watch_new(bus, fd, EV_WRITE, on_writable, stream, &stream->writable);
    if (error || !stream->pending || vsock->stream_count > VSOCK_STREAMS_MAX) {
        error_free(error);
        vsock_stream_free(stream);
        return NULL;
    }
    virtio_watch_enable(stream->readable, state != VSOCK_CONNECTING);
    return stream;
}

static void close_socket(struct vsock_stream *stream)
{
    virtio_watch_free(TAKE_PTR(stream->readable));
    virtio_watch_free(TAKE_PTR(stream->writable));
    close_fd(TAKE_FD(stream->fd));
    stream->has_data = false;
}

void vsock_stream_free(struct vsock_stream *stream)
{
    if (stream->has_turn)
        TAILQ_REMOVE(&stream->vsock->turns, stream, turn);
    LIST_REMOVE(stream, bucket);
    stream->vsock->stream_count--;
    close_socket(stream);
    virtio_watch_enable(stream->vsock->accepting, true);
    if (stream->pending)
        evbuffer_free(stream->pending);
    free(stream);
}

void vsock_stream_end(struct vsock_stream *stream)
{
    close_socket(stream);
    stream->state = VSOCK_ENDED;
    stream->unsaid = VSOCK_SAY_RESET;
    vsock_schedule(stream);
}

static void say(struct vsock_stream *stream, enum vsock_message message)
{
    stream->unsaid |= message;
    vsock_schedule(stream);
}

/* Takes the greeting out of the socket, and not a byte behind it. False: there is no whole one; *ret_over
   says that there will not be one. */
static bool read_greeting(struct vsock_stream *stream, bool *ret_over)
{
    char *line = stream->greeting + stream->greeting_length;
    size_t room = sizeof(stream->greeting) - stream->greeting_length;
    ssize_t length = recv(stream->fd, line, room, MSG_PEEK | MSG_DONTWAIT);
    if (length <= 0) {
        *ret_over = length == 0 || (errno != EAGAIN && errno != EINTR);
        return false;
    }
    char *end = memchr(line, '\n', (size_t)length);
    size_t taken = end ? (size_t)(end - line) + 1 : (size_t)length;
    recv(stream->fd, line, taken, MSG_DONTWAIT);
    stream->greeting_length += (unsigned)taken;
    *ret_over = !end && stream->greeting_length == sizeof(stream->greeting);
    if (end)
        *end = '\0';
    return end;
}

static bool parse_greeting(const char *line, uint32_t *ret_port)
{
    static const char word[] = "CONNECT ";
    uint64_t port = 0;
    if (strncmp(line, word, strlen(word)) != 0)
        return false;
    struct error *error = parse_unsigned("port", line + strlen(word), 0, UINT32_MAX, &port);
    *ret_port = (uint32_t)port;
    bool is_port = !error;
    error_free(error);
    return is_port;
}

static void greet(struct vsock_stream *stream)
{
    struct vsock *vsock = stream->vsock;
    bool over;
    if (!read_greeting(stream, &over)) {
        if (over)
            vsock_stream_free(stream);
        return;
    }
    if (vsock->device.state != VIRTIO_ACTIVE || !parse_greeting(stream->greeting, &stream->guest_port)) {
        vsock_stream_free(stream);
        return;
    }
    virtio_watch_enable(stream->readable, false);
    stream->host_port = vsock_new_host_port(vsock);
    stream->state = VSOCK_CONNECTING;
    vsock_publish_stream(vsock, stream);
    say(stream, VSOCK_SAY_REQUEST);
}

/* Writes what is pending, and passes on the guest's end. What the host's side has closed resets the stream.
 */
static void forward(struct vsock_stream *stream)
{
    while (evbuffer_get_length(stream->pending) > 0) {
        struct evbuffer_iovec parts[PARTS_AT_ONCE];
        int count = evbuffer_peek(stream->pending, -1, NULL, parts, PARTS_AT_ONCE);
        struct msghdr message = {
            .msg_iov = parts, .msg_iovlen = (size_t)(count < PARTS_AT_ONCE ? count : PARTS_AT_ONCE)};
        ssize_t written = sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (written < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (written < 0) {
            vsock_stream_end(stream);
            return;
        }
        evbuffer_drain(stream->pending, (size_t)written);
        stream->forwarded += (uint32_t)written;
    }
    bool drained = evbuffer_get_length(stream->pending) == 0;
    virtio_watch_enable(stream->writable, !drained);
    if (stream->forwarded - stream->told >= SPACE / 4)
        say(stream, VSOCK_SAY_CREDIT);
    if (drained && stream->guest_shut == (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND))
        vsock_stream_end(stream);
    else if (drained && stream->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND)
        shutdown(stream->fd, SHUT_WR);
}

/* Data of the guest: to the socket at once as far as that takes it, the rest to `pending`. */
static void take_data(struct vsock_stream *stream, uint32_t length, const struct virtqueue_chain *chain)
{
    struct iovec parts[VIRTQUEUE_SIZE_MAX];
    size_t done = 0;
    stream->received += length;
    if (stream->received - stream->forwarded > SPACE || stream->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) {
        vsock_stream_end(stream);
        return;
    }
    struct msghdr message = {.msg_iov = parts};
    message.msg_iovlen = iovec_slice(chain->vector, chain->readable_count, VSOCK_HEADER, length, parts);
    if (evbuffer_get_length(stream->pending) == 0) {
        ssize_t written = sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        done = written > 0 ? (size_t)written : 0;
        stream->forwarded += (uint32_t)done;
    }
    unsigned count =
        iovec_slice(chain->vector, chain->readable_count, VSOCK_HEADER + done, length - done, parts);
    for (unsigned i = 0; i < count; i++)
        evbuffer_add(stream->pending, parts[i].iov_base, parts[i].iov_len);
    forward(stream);
}

/* The guest has accepted. */
static void open_stream(struct vsock_stream *stream)
{
    char line[VSOCK_GREETING_MAX];
    int length = snprintf(line, sizeof(line), "OK %" PRIu32 "\n", stream->host_port);
    if (send(stream->fd, line, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL) != length) {
        vsock_stream_end(stream);
        return;
    }
    stream->state = VSOCK_OPEN;
    virtio_watch_enable(stream->readable, true);
}

static void take_in_state(
    struct vsock_stream *stream, const struct virtio_vsock_hdr *header, const struct virtqueue_chain *chain)
{
    bool is_open = stream->state == VSOCK_OPEN;
    if (header->op == VIRTIO_VSOCK_OP_RESPONSE && stream->state == VSOCK_CONNECTING)
        open_stream(stream);
    else if (header->op == VIRTIO_VSOCK_OP_RW && is_open)
        take_data(stream, header->len, chain);
    else if (header->op == VIRTIO_VSOCK_OP_CREDIT_REQUEST && is_open)
        say(stream, VSOCK_SAY_CREDIT);
    else if (header->op == VIRTIO_VSOCK_OP_SHUTDOWN && is_open) {
        stream->guest_shut |= header->flags & (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND);
        forward(stream);
    } else if (header->op != VIRTIO_VSOCK_OP_CREDIT_UPDATE)
        vsock_stream_end(stream);
}

void vsock_stream_take(
    struct vsock_stream *stream, const struct virtio_vsock_hdr *header, const struct virtqueue_chain *chain)
{
    if (header->op == VIRTIO_VSOCK_OP_RST) {
        vsock_stream_free(stream);
        return;
    }
    if (stream->state == VSOCK_ENDED)
        return;
    stream->peer_space = header->buf_alloc;
    stream->peer_taken = header->fwd_cnt;
    take_in_state(stream, header, chain);
    vsock_schedule(stream);
}

static uint32_t credit(const struct vsock_stream *stream)
{
    uint32_t under_way = stream->sent - stream->peer_taken;
    return under_way < stream->peer_space ? stream->peer_space - under_way : 0;
}

bool vsock_stream_wants_turn(const struct vsock_stream *stream)
{
    return stream->unsaid || (stream->has_data && credit(stream) > 0);
}

static size_t write_header(struct vsock_stream *stream, const struct virtqueue_chain *chain,
    enum virtio_vsock_op op, uint32_t flags, uint32_t length)
{
    const struct virtio_vsock_hdr header = {.src_cid = VSOCK_HOST_CID,
        .dst_cid = stream->vsock->config.guest_cid,
        .src_port = stream->host_port,
        .dst_port = stream->guest_port,
        .len = length,
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .op = (uint16_t)op,
        .flags = flags,
        .buf_alloc = SPACE,
        .fwd_cnt = stream->forwarded};
    stream->told = stream->forwarded;
    return chain_write(chain, 0, &header, sizeof(header)) + length;
}

static size_t speak_message(struct vsock_stream *stream, const struct virtqueue_chain *chain)
{
    enum vsock_message message = stream->unsaid & -stream->unsaid;
    stream->unsaid &= ~message;
    switch (message) {
    case VSOCK_SAY_REQUEST:
        return write_header(stream, chain, VIRTIO_VSOCK_OP_REQUEST, 0, 0);
    case VSOCK_SAY_RESPONSE:
        return write_header(stream, chain, VIRTIO_VSOCK_OP_RESPONSE, 0, 0);
    case VSOCK_SAY_CREDIT:
        return write_header(stream, chain, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0);
    case VSOCK_SAY_SHUTDOWN:
        return write_header(stream, chain, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND, 0);
    default:
        return write_header(stream, chain, VIRTIO_VSOCK_OP_RST, 0, 0);
    }
}

/* From the socket into the guest's buffer. */
static size_t speak_data(struct vsock_stream *stream, const struct virtqueue_chain *chain)
{
    struct iovec parts[VIRTQUEUE_SIZE_MAX];
    struct msghdr message = {.msg_iov = parts};
    message.msg_iovlen =
        iovec_slice(chain->writable, chain->writable_count, VSOCK_HEADER, credit(stream), parts);
    ssize_t length = recvmsg(stream->fd, &message, MSG_DONTWAIT);
    if (length > 0) {
        stream->sent += (uint32_t)length;
        return write_header(stream, chain, VIRTIO_VSOCK_OP_RW, 0, (uint32_t)length);
    }
    stream->has_data = false;
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) {
        virtio_watch_enable(stream->readable, true);
        return 0;
    }
    if (length == 0)
        stream->unsaid |= VSOCK_SAY_SHUTDOWN;
    else
        vsock_stream_end(stream);
    return speak_message(stream, chain);
}

size_t vsock_stream_speak(struct vsock_stream *stream, const struct virtqueue_chain *chain)
{
    return stream->unsaid ? speak_message(stream, chain) : speak_data(stream, chain);
}
