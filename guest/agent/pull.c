/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pull.h"

#include "proto/agent.pb-c.h"

/* ---- reading ---- */

struct pull_reader {
    int fd;
    struct event *ready;
    bool finished;
    struct ttrpc_call *call; /* the one that waits, or NULL */
    uint32_t length;         /* what it asks for */
};

/* A terminal whose last process has gone says EIO. */
static bool is_end(ssize_t got)
{
    return got == 0 || (got < 0 && errno == EIO);
}

static bool would_wait(ssize_t got)
{
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

static void reply_read(struct ttrpc_call *call, uint8_t *bytes, ssize_t got)
{
    Grpc__ReadStreamResponse reply = GRPC__READ_STREAM_RESPONSE__INIT;
    reply.data.data = bytes;
    reply.data.len = (size_t)got;
    ttrpc_reply(call, &reply.base);
}

/* Answers the waiting call, or waits on. */
static void try_read(struct pull_reader *reader)
{
    _cleanup_free_ uint8_t *bytes = must_alloc(reader->length);
    ssize_t got = read(reader->fd, bytes, reader->length);
    if (would_wait(got) && !reader->finished) {
        event_add(reader->ready, NULL);
        return;
    }
    event_del(reader->ready);
    struct ttrpc_call *call = TAKE_PTR(reader->call);
    if (got > 0)
        reply_read(call, bytes, got);
    else if (is_end(got) || would_wait(got))
        ttrpc_fail(call, error_new(ERROR_OUT_OF_RANGE, "read meet eof")); /* the words of Kata's agent */
    else
        ttrpc_fail(call, error_errno(errno, "reading the output of the process"));
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    try_read(context);
}

struct pull_reader *pull_reader_new(struct event_base *base, int fd)
{
    struct pull_reader *reader = must_new(struct pull_reader);
    *reader = (struct pull_reader){.fd = fd};
    evutil_make_socket_nonblocking(fd);
    reader->ready = event_new(base, fd, EV_READ, on_readable, reader);
    return reader;
}

void pull_reader_read(struct pull_reader *reader, uint32_t length, struct ttrpc_call *call)
{
    if (reader->call || length == 0) {
        ttrpc_fail(call, length == 0
                             ? error_new(ERROR_INVALID_ARGUMENT, "a read of no bytes has no answer")
                             : error_new(ERROR_FAILED_PRECONDITION, "another call is reading this stream"));
        return;
    }
    reader->call = call;
    reader->length = length < PULL_READ_MAX ? length : PULL_READ_MAX;
    try_read(reader);
}

void pull_reader_finish(struct pull_reader *reader)
{
    reader->finished = true;
    if (reader->call)
        try_read(reader);
}

void pull_reader_free(struct pull_reader *reader)
{
    if (!reader)
        return;
    if (reader->call)
        ttrpc_fail(reader->call, error_new(ERROR_ABORTED, "the process was removed"));
    event_free(reader->ready);
    close_fd(reader->fd);
    free(reader);
}

/* ---- writing ---- */

struct pull_writer {
    int fd; /* -1 when closed */
    struct event *ready;
    bool closing;
    struct ttrpc_call *call; /* the one that waits, or NULL */
    const uint8_t *data;     /* its data */
    size_t length;
    size_t written;
};

static void close_writer(struct pull_writer *writer)
{
    event_del(writer->ready);
    close_fd(TAKE_FD(writer->fd));
}

static void finish_write(struct pull_writer *writer, struct error *error)
{
    struct ttrpc_call *call = TAKE_PTR(writer->call);
    if (error) {
        ttrpc_fail(call, error);
    } else {
        Grpc__WriteStreamResponse reply = GRPC__WRITE_STREAM_RESPONSE__INIT;
        reply.len = (uint32_t)writer->length;
        ttrpc_reply(call, &reply.base);
    }
    if (writer->closing)
        close_writer(writer);
}

static void try_write(struct pull_writer *writer)
{
    while (writer->written < writer->length) {
        ssize_t sent = write(writer->fd, writer->data + writer->written, writer->length - writer->written);
        if (would_wait(sent)) {
            event_add(writer->ready, NULL);
            return;
        }
        if (sent < 0) {
            finish_write(writer, error_errno(errno, "writing to the input of the process"));
            return;
        }
        writer->written += (size_t)sent;
    }
    finish_write(writer, NULL);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    try_write(context);
}

struct pull_writer *pull_writer_new(struct event_base *base, int fd)
{
    struct pull_writer *writer = must_new(struct pull_writer);
    *writer = (struct pull_writer){.fd = fd};
    evutil_make_socket_nonblocking(fd);
    writer->ready = event_new(base, fd, EV_WRITE, on_writable, writer);
    return writer;
}

void pull_writer_write(struct pull_writer *writer, const void *data, size_t length, struct ttrpc_call *call)
{
    if (writer->call || writer->closing) {
        ttrpc_fail(call, error_new(ERROR_FAILED_PRECONDITION, "%s",
                             writer->closing ? "the input of the process is closed"
                                             : "another call is writing to this stream"));
        return;
    }
    writer->call = call;
    writer->data = data;
    writer->length = length;
    writer->written = 0;
    try_write(writer);
}

void pull_writer_close(struct pull_writer *writer)
{
    writer->closing = true;
    if (!writer->call)
        close_writer(writer);
}

void pull_writer_free(struct pull_writer *writer)
{
    if (!writer)
        return;
    if (writer->call)
        ttrpc_fail(writer->call, error_new(ERROR_ABORTED, "the process was removed"));
    event_free(writer->ready);
    close_fd(writer->fd);
    free(writer);
}
