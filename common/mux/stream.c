/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One stream. Its two directions end apart from each other:
 *
 *   sending    ends with END: at the end of file of read_fd, when the peer said STOP, or when a drain found
 *              the pipe empty. Afterwards a drained pipe is read and thrown away, so that a descendant of the
 *              exited process neither blocks nor dies of it.
 *   receiving  ends when the peer's END came and all was written; or write_fd failed, and then the peer is
 *              told to STOP and its END is waited for.
 *
 * When both have ended the stream is gone on this side. The ids are never used again, so a late frame finds
 * nobody and is passed over.
 */
#include "mux/link.h"

#include "base/fd.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

struct mux_stream *stream_new(struct mux *mux, uint32_t id)
{
    struct mux_stream *stream = must_new(struct mux_stream);
    *stream = (struct mux_stream){.mux = mux,
        .id = id,
        .read_fd = -1,
        .write_fd = -1,
        .credit = MUX_WINDOW,
        .receivable = MUX_WINDOW,
        .pending = evbuffer_new()};
    if (!stream->pending)
        abort();
    return stream;
}

uint32_t mux_stream_id(const struct mux_stream *stream)
{
    return stream->id;
}

static void close_source(struct mux_stream *stream)
{
    if (stream->readable)
        event_free(stream->readable);
    stream->readable = NULL;
    if (stream->read_fd >= 0 && stream->read_fd != stream->write_fd)
        close_fd(stream->read_fd);
    stream->read_fd = -1;
}

static void close_sink(struct mux_stream *stream)
{
    if (stream->writable)
        event_free(stream->writable);
    stream->writable = NULL;
    evbuffer_drain(stream->pending, evbuffer_get_length(stream->pending));
    if (stream->write_fd >= 0) {
        if (stream->is_socket)
            shutdown(stream->write_fd, SHUT_WR);
        if (stream->write_fd != stream->read_fd)
            close_fd(stream->write_fd);
    }
    stream->write_fd = -1;
    stream->sink_done = true;
}

void stream_free(struct mux_stream *stream)
{
    close_source(stream);
    close_sink(stream);
    evbuffer_free(stream->pending);
    free(stream);
}

void stream_close(struct mux_stream *stream, bool reset)
{
    mux_closed *closed = stream->closed;
    void *context = stream->context;
    mux_remove(stream->mux, stream);
    stream_free(stream);
    if (closed)
        closed(context, reset);
}

/* True when that was the last of it. */
static bool close_if_over(struct mux_stream *stream)
{
    bool over = stream->attached && stream->send_ended && !stream->discarding && stream->receive_ended &&
                stream->sink_done;
    if (over)
        stream_close(stream, false);
    return over;
}

static void wait_for_source(struct mux_stream *stream)
{
    if (event_add(stream->readable, NULL) < 0)
        abort();
}

static void end_sending(struct mux_stream *stream)
{
    if (stream->send_ended)
        return;
    stream->send_ended = true;
    mux_send_control(stream->mux, stream->id, MUX_FRAME_END, NULL);
}

/* Reads and forgets until the end of file. */
static void discard(struct mux_stream *stream)
{
    char waste[4096];
    ssize_t received;
    do {
        received = read(stream->read_fd, waste, sizeof(waste));
    } while (received > 0 || (received < 0 && errno == EINTR));
    if (received < 0 && errno == EAGAIN) {
        wait_for_source(stream);
        return;
    }
    stream->discarding = false;
    close_source(stream);
    close_if_over(stream);
}

static void on_source(evutil_socket_t fd, short what, void *argument)
{
    struct mux_stream *stream = argument;
    if (stream->discarding)
        discard(stream);
    else if (stream->credit > 0)
        mux_request_turn(stream);
}

/* The source has no more for the peer: end of file, an error (a terminal that hung up says EIO), or nothing
   left to drain, when descendants may still hold the pipe. */
static void source_over(struct mux_stream *stream, bool still_open, bool *ret_gone)
{
    end_sending(stream);
    stream->discarding = still_open;
    if (still_open)
        wait_for_source(stream);
    else
        close_source(stream);
    *ret_gone = close_if_over(stream);
}

size_t stream_fill(struct mux_stream *stream, uint8_t *payload, size_t space, bool *ret_gone)
{
    if (stream->read_fd < 0 || stream->send_ended || stream->credit == 0)
        return 0;
    if (space > stream->credit)
        space = stream->credit;
    ssize_t received;
    do {
        received = read(stream->read_fd, payload, space);
    } while (received < 0 && errno == EINTR);
    if (received > 0) {
        stream->credit -= (uint32_t)received;
        return (size_t)received;
    }
    bool empty = received < 0 && errno == EAGAIN;
    if (empty && !stream->draining)
        wait_for_source(stream);
    else
        source_over(stream, empty, ret_gone);
    return 0;
}

static void grant(struct mux_stream *stream, uint32_t written)
{
    stream->consumed += written;
    if (stream->consumed < MUX_WINDOW / 4 || stream->receive_ended)
        return;
    mux_send_control(stream->mux, stream->id, MUX_FRAME_WINDOW, &stream->consumed);
    stream->receivable += stream->consumed;
    stream->consumed = 0;
}

static void stop_receiving(struct mux_stream *stream)
{
    close_sink(stream);
    if (!stream->receive_ended)
        mux_send_control(stream->mux, stream->id, MUX_FRAME_STOP, NULL);
}

static ssize_t write_sink(struct mux_stream *stream, const void *data, size_t length)
{
    ssize_t written;
    do {
        written = stream->is_socket ? send(stream->write_fd, data, length, MSG_NOSIGNAL)
                                    : write(stream->write_fd, data, length);
    } while (written < 0 && errno == EINTR);
    return written;
}

/* Writes what waits; the stream may be gone afterwards. */
static void write_pending(struct mux_stream *stream)
{
    while (evbuffer_get_length(stream->pending) > 0) {
        struct evbuffer_iovec piece;
        evbuffer_peek(stream->pending, -1, NULL, &piece, 1);
        ssize_t written = write_sink(stream, piece.iov_base, piece.iov_len);
        if (written < 0 && errno == EAGAIN) {
            if (event_add(stream->writable, NULL) < 0)
                abort();
            return;
        }
        if (written < 0) {
            stop_receiving(stream);
            close_if_over(stream);
            return;
        }
        evbuffer_drain(stream->pending, (size_t)written);
        grant(stream, (uint32_t)written);
    }
    if (stream->receive_ended) {
        close_sink(stream);
        close_if_over(stream);
    }
}

static void on_sink(evutil_socket_t fd, short what, void *argument)
{
    write_pending(argument);
}

/* Nothing waits before this data: write it without a copy, and keep the rest. */
static void take_data(struct mux_stream *stream, const uint8_t *data, size_t length)
{
    size_t written = 0;
    if (stream->attached && evbuffer_get_length(stream->pending) == 0) {
        ssize_t count = write_sink(stream, data, length);
        if (count < 0 && errno != EAGAIN) {
            stop_receiving(stream);
            return;
        }
        if (count > 0) {
            written = (size_t)count;
            grant(stream, (uint32_t)written);
        }
    }
    if (written == length)
        return;
    if (evbuffer_add(stream->pending, data + written, length - written) < 0)
        abort();
    if (stream->attached && event_add(stream->writable, NULL) < 0)
        abort();
}

static struct error *receive_data(struct mux_stream *stream, const uint8_t *data, size_t length)
{
    if (length > stream->receivable || stream->receive_ended)
        return error_new(ERROR_INVALID_ARGUMENT, "the peer sent more on stream %u than it may", stream->id);
    stream->receivable -= (uint32_t)length;
    if (!stream->sink_done && length > 0)
        take_data(stream, data, length);
    return NULL;
}

static struct error *receive_window(struct mux_stream *stream, const uint8_t *payload)
{
    uint32_t more;
    memcpy(&more, payload, sizeof(more));
    more = le32toh(more);
    if (more > MUX_WINDOW - stream->credit)
        return error_new(
            ERROR_INVALID_ARGUMENT, "the peer widened the window of stream %u too far", stream->id);
    stream->credit += more;
    if (stream->read_fd >= 0 && !stream->send_ended)
        mux_request_turn(stream);
    return NULL;
}

static void receive_end(struct mux_stream *stream)
{
    stream->receive_ended = true;
    if (!stream->attached || evbuffer_get_length(stream->pending) > 0)
        return;
    if (!stream->sink_done)
        close_sink(stream);
    close_if_over(stream);
}

static void receive_stop(struct mux_stream *stream)
{
    end_sending(stream);
    stream->discarding = false;
    close_source(stream);
    close_if_over(stream);
}

struct error *stream_receive(
    struct mux_stream *stream, enum mux_type type, const uint8_t *payload, size_t length)
{
    switch (type) {
    case MUX_FRAME_DATA:
        return receive_data(stream, payload, length);
    case MUX_FRAME_WINDOW:
        return receive_window(stream, payload);
    case MUX_FRAME_END:
        receive_end(stream);
        return NULL;
    case MUX_FRAME_STOP:
        receive_stop(stream);
        return NULL;
    case MUX_FRAME_RESET:
        stream_close(stream, true);
        return NULL;
    case MUX_FRAME_HELLO:
    case MUX_FRAME_OPEN:
        break;
    }
    return error_new(ERROR_INTERNAL, "a frame of type %d reached a stream", type);
}

static void start_source(struct mux_stream *stream)
{
    if (stream->read_fd < 0 || stream->send_ended) {
        end_sending(stream);
        close_source(stream);
        return;
    }
    fcntl(stream->read_fd, F_SETFL, fcntl(stream->read_fd, F_GETFL) | O_NONBLOCK);
    stream->readable = event_new(mux_base(stream->mux), stream->read_fd, EV_READ, on_source, stream);
    if (!stream->readable)
        abort();
    mux_request_turn(stream);
}

static void start_sink(struct mux_stream *stream)
{
    if (stream->write_fd < 0)
        stop_receiving(stream);
    else
        fcntl(stream->write_fd, F_SETFL, fcntl(stream->write_fd, F_GETFL) | O_NONBLOCK);
    stream->writable = event_new(mux_base(stream->mux), stream->write_fd, EV_WRITE, on_sink, stream);
    if (!stream->writable)
        abort();
    /* From the loop: what came before the attaching, an end included. */
    event_active(stream->writable, EV_WRITE, 0);
}

void mux_attach(struct mux_stream *stream, int read_fd, int write_fd, mux_closed *closed, void *context)
{
    stream->attached = true;
    stream->read_fd = read_fd;
    stream->write_fd = write_fd;
    stream->closed = closed;
    stream->context = context;
    start_source(stream);
    start_sink(stream);
}

void mux_attach_socket(struct mux_stream *stream, int socket, mux_closed *closed, void *context)
{
    stream->is_socket = true;
    mux_attach(stream, socket, socket, closed, context);
}

void mux_drain(struct mux_stream *stream)
{
    stream->draining = true;
    if (stream->read_fd >= 0 && !stream->send_ended)
        mux_request_turn(stream);
}

void mux_watch(struct mux_stream *stream, mux_closed *closed, void *context)
{
    stream->closed = closed;
    stream->context = context;
}

void mux_forget(struct mux_stream *stream)
{
    stream->closed = NULL;
}

void mux_reset(struct mux_stream *stream)
{
    struct mux *mux = stream->mux;
    mux_send_control(mux, stream->id, MUX_FRAME_RESET, NULL);
    mux_remove(mux, stream);
    stream_free(stream);
}
