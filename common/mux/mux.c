/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link. Data is read from a stream's descriptor only when the link can take it: streams that have
 * something to send stand in a queue of turns, each turn sends one frame, and a frame that does not go out
 * whole stops the turns until the link is writable again. So the link never holds more than one frame of
 * data, and no stream can keep the others waiting for longer than a frame.
 *
 * Frames are large because of the guest. What reads only part of a full pipe wakes the pipe's writer, and
 * what writes a little wakes the reader; each such change between two processes costs an emulated processor
 * its translations of addresses. A frame is one read there and one write here.
 */
#include "mux/link.h"

#include "base/fd.h"

#include <endian.h>
#include <string.h>

#define HELLO_MAGIC 0x6e736963u /* "cisn" */
#define HELLO_VERSION 2u
/* One whole frame, and the beginning of the next. */
#define INPUT_SIZE (MUX_HEADER + MUX_PAYLOAD_MAX + (64 << 10))
/* A peer that makes us answer but does not read the answers is not read from either. */
#define OUTPUT_LIMIT (1u << 20)
/* Reads and frames in one turn of the event loop, so that others have their share of it. */
#define READS 64
#define FRAMES 4

struct mux {
    struct event_base *base;
    int fd;
    bool initiator;
    bool ready;
    bool ended;
    bool *freed; /* set when freed inside a callback */
    const struct mux_events *events;
    void *context;
    struct event *readable;
    struct event *writable;
    struct evbuffer *output;
    size_t input_length;
    uint32_t next_id;
    size_t stream_count;
    struct mux_turns turns;
    struct mux_bucket buckets[MUX_BUCKETS];
    uint8_t input[INPUT_SIZE];
    uint8_t frame[MUX_HEADER + MUX_PAYLOAD_MAX];
};

struct event_base *mux_base(const struct mux *mux)
{
    return mux->base;
}

bool mux_is_ready(const struct mux *mux)
{
    return mux->ready && !mux->ended;
}

static void fail(struct mux *mux, struct error *reason)
{
    if (!mux->ended) {
        mux->ended = true;
        event_del(mux->readable);
        event_del(mux->writable);
        bool freed = false;
        mux->freed = &freed;
        mux->events->failed(mux->context, reason);
        if (!freed)
            mux->freed = NULL;
    }
    error_free(reason);
}

static void put_header(uint8_t *frame, uint32_t stream, enum mux_type type, size_t length)
{
    const uint32_t words[2] = {htole32(stream), htole32((uint32_t)length << 8 | type)};
    memcpy(frame, words, MUX_HEADER);
}

static uint32_t get_number(const uint8_t *bytes)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof(number));
    return le32toh(number);
}

/* Writes what waits. True when nothing is left. */
static bool flush(struct mux *mux)
{
    while (evbuffer_get_length(mux->output) > 0) {
        if (evbuffer_write(mux->output, mux->fd) < 0 && errno != EINTR)
            break;
    }
    return evbuffer_get_length(mux->output) == 0;
}

static void queue(struct mux *mux, const uint8_t *data, size_t length)
{
    if (length > 0 && evbuffer_add(mux->output, data, length) < 0)
        abort();
}

/* The direct way for the common case of an empty queue: no copy. A virtio-serial port takes at most 32 KiB at
   once. A link that is gone shows on reading. */
static void send_frame(struct mux *mux, const uint8_t *frame, size_t length)
{
    size_t sent = 0;
    while (sent < length && evbuffer_get_length(mux->output) == 0) {
        ssize_t written = write(mux->fd, frame + sent, length - sent);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            break;
        sent += (size_t)written;
    }
    queue(mux, frame + sent, length - sent);
}

void mux_send_control(struct mux *mux, uint32_t stream, enum mux_type type, const uint32_t *number)
{
    if (mux->ended)
        return;
    uint8_t frame[MUX_HEADER + sizeof(uint32_t)];
    size_t length = number ? sizeof(uint32_t) : 0;
    put_header(frame, stream, type, length);
    if (number) {
        uint32_t value = htole32(*number);
        memcpy(frame + MUX_HEADER, &value, sizeof(value));
    }
    send_frame(mux, frame, MUX_HEADER + length);
    if (evbuffer_get_length(mux->output) > 0)
        event_add(mux->writable, NULL);
}

static void send_hello(struct mux *mux)
{
    uint8_t frame[MUX_HEADER + 8];
    uint32_t words[2] = {htole32(HELLO_MAGIC), htole32(HELLO_VERSION)};
    put_header(frame, 0, MUX_FRAME_HELLO, sizeof(words));
    memcpy(frame + MUX_HEADER, words, sizeof(words));
    send_frame(mux, frame, sizeof(frame));
}

/* Turns, until nobody has anything to send, the link is full, or others must run. */
static void take_turns(struct mux *mux)
{
    const bool *freed = mux->freed;
    for (int i = 0; i < FRAMES; i++) {
        struct mux_stream *stream = TAILQ_FIRST(&mux->turns);
        if (!flush(mux) || !stream)
            break;
        TAILQ_REMOVE(&mux->turns, stream, turn);
        stream->waits_turn = false;
        bool gone = false;
        uint32_t id = stream->id;
        size_t length = stream_fill(stream, mux->frame + MUX_HEADER, MUX_PAYLOAD_MAX, &gone);
        if (*freed)
            return;
        if (length > 0) {
            put_header(mux->frame, id, MUX_FRAME_DATA, length);
            send_frame(mux, mux->frame, MUX_HEADER + length);
        }
        if (length > 0 && !gone)
            mux_request_turn(stream);
    }
    if (evbuffer_get_length(mux->output) > 0 || !TAILQ_EMPTY(&mux->turns))
        event_add(mux->writable, NULL);
    if (evbuffer_get_length(mux->output) < OUTPUT_LIMIT)
        event_add(mux->readable, NULL);
    else
        event_del(mux->readable);
}

static void on_writable(evutil_socket_t fd, short what, void *argument)
{
    struct mux *mux = argument;
    bool freed = false;
    mux->freed = &freed;
    take_turns(mux);
    if (!freed)
        mux->freed = NULL;
}

void mux_request_turn(struct mux_stream *stream)
{
    struct mux *mux = stream->mux;
    if (stream->waits_turn || mux->ended || !mux->ready)
        return;
    stream->waits_turn = true;
    TAILQ_INSERT_TAIL(&mux->turns, stream, turn);
    event_add(mux->writable, NULL);
}

static struct mux_bucket *bucket_of(struct mux *mux, uint32_t id)
{
    return &mux->buckets[(id >> 1) % MUX_BUCKETS];
}

static struct mux_stream *find(struct mux *mux, uint32_t id)
{
    struct mux_stream *stream;
    LIST_FOREACH (stream, bucket_of(mux, id), bucket) {
        if (stream->id == id)
            return stream;
    }
    return NULL;
}

static struct mux_stream *add(struct mux *mux, uint32_t id)
{
    struct mux_stream *stream = stream_new(mux, id);
    LIST_INSERT_HEAD(bucket_of(mux, id), stream, bucket);
    mux->stream_count++;
    return stream;
}

void mux_remove(struct mux *mux, struct mux_stream *stream)
{
    LIST_REMOVE(stream, bucket);
    if (stream->waits_turn)
        TAILQ_REMOVE(&mux->turns, stream, turn);
    stream->waits_turn = false;
    mux->stream_count--;
}

/* Stops at once when a callback freed the mux. */
static void reset_all(struct mux *mux)
{
    const bool *freed = mux->freed;
    for (size_t i = 0; i < MUX_BUCKETS; i++) {
        while (!LIST_EMPTY(&mux->buckets[i])) {
            stream_close(LIST_FIRST(&mux->buckets[i]), true);
            if (freed && *freed)
                return;
        }
    }
}

static struct error *handle_hello(struct mux *mux, const uint8_t *payload, size_t length)
{
    if (length != 8 || get_number(payload) != HELLO_MAGIC)
        return error_new(ERROR_INVALID_ARGUMENT, "the peer's hello is not one");
    if (get_number(payload + 4) != HELLO_VERSION)
        return error_new(ERROR_FAILED_PRECONDITION,
            "the peer speaks version %u of the link; this side speaks %u", get_number(payload + 4),
            HELLO_VERSION);
    if (mux->initiator && mux->ready)
        return error_new(ERROR_INVALID_ARGUMENT, "the peer said hello twice");
    const bool *freed = mux->freed;
    if (mux->ready)
        reset_all(mux);
    if (*freed)
        return NULL;
    if (!mux->initiator)
        send_hello(mux);
    mux->ready = true;
    mux->events->ready(mux->context);
    return NULL;
}

static struct error *handle_open(struct mux *mux, uint32_t id, const uint8_t *payload, size_t length)
{
    bool odd = id % 2 == 1;
    if (length != 4 || id == 0 || odd == mux->initiator || find(mux, id))
        return error_new(ERROR_INVALID_ARGUMENT, "the peer opened stream %u against the rules", id);
    if (mux->stream_count >= MUX_STREAMS_MAX) {
        mux_send_control(mux, id, MUX_FRAME_RESET, NULL);
        return NULL;
    }
    struct mux_stream *stream = add(mux, id);
    const bool *freed = mux->freed;
    bool kept = mux->events->incoming(mux->context, get_number(payload), stream);
    if (!*freed && !kept)
        mux_reset(stream);
    return NULL;
}

/* Frames of a stream that is gone are late, not wrong. Before the hello nothing has a meaning. */
static struct error *handle_frame(
    struct mux *mux, uint32_t id, uint8_t type, const uint8_t *payload, size_t length)
{
    if (type == MUX_FRAME_HELLO)
        return handle_hello(mux, payload, length);
    if (!mux->ready)
        return NULL;
    if (type == MUX_FRAME_OPEN)
        return handle_open(mux, id, payload, length);
    if (type < MUX_FRAME_DATA || type > MUX_FRAME_RESET || (type == MUX_FRAME_WINDOW && length != 4))
        return error_new(
            ERROR_INVALID_ARGUMENT, "the peer sent a frame of type %u and length %zu", type, length);
    struct mux_stream *stream = find(mux, id);
    return stream ? stream_receive(stream, (enum mux_type)type, payload, length) : NULL;
}

static struct error *handle_input(struct mux *mux, const bool *freed)
{
    size_t offset = 0;
    while (mux->input_length - offset >= MUX_HEADER) {
        const uint8_t *header = mux->input + offset;
        uint32_t word = get_number(header + 4), length = word >> 8;
        if (length > MUX_PAYLOAD_MAX)
            return error_new(ERROR_INVALID_ARGUMENT, "the peer sent a frame of %u bytes", length);
        if (mux->input_length - offset < MUX_HEADER + length)
            break;
        TRY(handle_frame(mux, get_number(header), (uint8_t)word, header + MUX_HEADER, length));
        if (*freed || mux->ended)
            return NULL;
        offset += MUX_HEADER + length;
    }
    mux->input_length -= offset;
    if (offset > 0) /* most reads in the guest are of 4 KiB, and complete no frame */
        memmove(mux->input, mux->input + offset, mux->input_length);
    return NULL;
}

/* *ret_again: there may be more. */
static struct error *read_once(struct mux *mux, const bool *freed, bool *ret_again)
{
    ssize_t received = read(mux->fd, mux->input + mux->input_length, INPUT_SIZE - mux->input_length);
    *ret_again = received > 0 || (received < 0 && errno == EINTR);
    if (received < 0)
        return errno == EAGAIN || errno == EINTR ? NULL : error_errno(errno, "the link was lost");
    if (received == 0)
        return error_new(ERROR_UNAVAILABLE, "the link was closed");
    mux->input_length += (size_t)received;
    return handle_input(mux, freed);
}

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
    struct mux *mux = argument;
    bool freed = false, again = true;
    mux->freed = &freed;
    struct error *error = NULL;
    for (int i = 0; i < READS && again && !error; i++) {
        error = read_once(mux, &freed, &again);
        if (freed || mux->ended)
            break;
    }
    if (freed) {
        error_free(error);
        return;
    }
    if (!error && !mux->ended)
        take_turns(mux);
    if (freed)
        return;
    mux->freed = NULL;
    if (error)
        fail(mux, error);
}

struct error *mux_new(struct event_base *base, int fd, bool initiator, const struct mux_events *events,
    void *context, struct mux **ret_mux)
{
    struct error *error = fd_set_nonblocking(fd, true);
    if (error) {
        close_fd(fd);
        return error;
    }
    struct mux *mux = must_new(struct mux);
    mux->base = base;
    mux->fd = fd;
    mux->initiator = initiator;
    mux->events = events;
    mux->context = context;
    mux->next_id = initiator ? 1 : 2;
    TAILQ_INIT(&mux->turns);
    mux->output = evbuffer_new();
    mux->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, mux);
    mux->writable = event_new(base, fd, EV_WRITE, on_writable, mux);
    if (!mux->output || !mux->readable || !mux->writable || event_add(mux->readable, NULL) < 0) {
        mux_free(mux);
        return error_new(ERROR_INTERNAL, "the event loop refused the link");
    }
    if (initiator) {
        send_hello(mux);
        if (evbuffer_get_length(mux->output) > 0)
            event_add(mux->writable, NULL);
    }
    *ret_mux = mux;
    return NULL;
}

void mux_free(struct mux *mux)
{
    if (!mux)
        return;
    if (mux->freed)
        *mux->freed = true;
    mux->ended = true;
    for (size_t i = 0; i < MUX_BUCKETS; i++) {
        while (!LIST_EMPTY(&mux->buckets[i])) {
            struct mux_stream *stream = LIST_FIRST(&mux->buckets[i]);
            mux_remove(mux, stream);
            stream_free(stream);
        }
    }
    if (mux->readable)
        event_free(mux->readable);
    if (mux->writable)
        event_free(mux->writable);
    if (mux->output)
        evbuffer_free(mux->output);
    close_fd(mux->fd);
    free(mux);
}

struct error *mux_open(struct mux *mux, uint32_t port, struct mux_stream **ret_stream)
{
    if (!mux_is_ready(mux))
        return error_new(ERROR_UNAVAILABLE, "the link to the guest is not up");
    if (mux->stream_count >= MUX_STREAMS_MAX)
        return error_new(ERROR_RESOURCE_EXHAUSTED, "%d streams are open already", MUX_STREAMS_MAX);
    struct mux_stream *stream = add(mux, mux->next_id);
    mux->next_id += 2;
    mux_send_control(mux, stream->id, MUX_FRAME_OPEN, &port);
    *ret_stream = stream;
    return NULL;
}
