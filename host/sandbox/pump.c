/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/pump.h"

#include "base/fd.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>

/* Chunks moved before other events get their turn. */
#define CHUNKS_PER_TURN 16

struct pump {
    int source;
    int destination;
    struct event *readable;
    struct event *writable; /* NULL where the destination cannot be waited for: a regular file */
    struct event *reader_gone;
    char *held; /* read and not yet written */
    size_t held_start;
    size_t held_end;
    bool finishing;
    uint64_t progress;
    uint64_t lost; /* bytes that a full disk did not take */
    int lost_errno;
    pump_ended *ended;
    void *context;
};

static void event_drop(struct event **event)
{
    if (*event)
        event_free(*event);
    *event = NULL;
}

static void pump_close(struct pump *pump)
{
    event_drop(&pump->readable);
    event_drop(&pump->writable);
    event_drop(&pump->reader_gone);
    close_fd(TAKE_FD(pump->source));
    close_fd(TAKE_FD(pump->destination));
    free(TAKE_PTR(pump->held));
}

static void pump_end(struct pump *pump, enum pump_end end, const struct error *reason)
{
    pump_close(pump);
    pump->ended(pump->context, end, reason);
}

static void pump_fail(struct pump *pump, int errnum, const char *what)
{
    bool broken = errnum == EPIPE || errnum == ECONNRESET;
    _cleanup_error_ struct error *reason = broken ? NULL : error_errno(errnum, "%s a stream", what);
    pump_end(pump, broken ? PUMP_BROKEN : PUMP_FAILED, reason);
}

static void hold(struct pump *pump, const char *data, size_t length)
{
    pump->held = must_alloc(length);
    memcpy(pump->held, data, length);
    pump->held_start = 0;
    pump->held_end = length;
}

/* A process must not be stopped by a log on a full disk: its output is dropped, and counted. */
static bool is_full(int errnum)
{
    return errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG;
}

/* How many bytes are done with; -1 when the pump has ended. */
static ssize_t pump_write(struct pump *pump, const char *data, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t count = write(pump->destination, data + done, length - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            break;
        if (count < 0 && is_full(errno)) {
            pump->lost_errno = errno;
            pump->lost += length - done;
            return (ssize_t)length;
        }
        if (count < 0) {
            pump_fail(pump, errno, "writing");
            return -1;
        }
        done += (size_t)count;
        pump->progress += (uint64_t)count;
    }
    return (ssize_t)done;
}

/* A pump that is to finish looks again at once: with nothing left to read it ends. */
static void pump_await_source(struct pump *pump)
{
    if (pump->finishing)
        event_active(pump->readable, EV_READ, 0);
    else
        event_add(pump->readable, NULL);
}

/* The source gave no bytes. */
static void pump_nothing_read(struct pump *pump, ssize_t result)
{
    if (result < 0 && errno == EAGAIN && !pump->finishing)
        event_add(pump->readable, NULL);
    else if (result < 0 && errno == EINTR)
        pump_await_source(pump);
    else if (result == 0 || errno == EAGAIN || errno == ECONNRESET || errno == EIO)
        pump_end(pump, PUMP_FINISHED, NULL);
    else
        pump_fail(pump, errno, "reading");
}

/* Whether to go on reading. */
static bool pump_move(struct pump *pump)
{
    char chunk[PUMP_CHUNK];
    ssize_t length = read(pump->source, chunk, sizeof(chunk));
    if (length <= 0) {
        pump_nothing_read(pump, length);
        return false;
    }
    ssize_t written = pump_write(pump, chunk, (size_t)length);
    if (written < 0 || written == length)
        return written == length;
    hold(pump, chunk + written, (size_t)(length - written));
    event_add(pump->writable, NULL);
    return false;
}

static void pump_readable(evutil_socket_t fd, short what, void *context)
{
    struct pump *pump = context;
    for (unsigned i = 0; i < CHUNKS_PER_TURN; i++)
        if (!pump_move(pump))
            return;
    pump_await_source(pump);
}

static void pump_writable(evutil_socket_t fd, short what, void *context)
{
    struct pump *pump = context;
    ssize_t written = pump_write(pump, pump->held + pump->held_start, pump->held_end - pump->held_start);
    if (written < 0)
        return;
    pump->held_start += (size_t)written;
    if (pump->held_start < pump->held_end) {
        event_add(pump->writable, NULL);
        return;
    }
    free(TAKE_PTR(pump->held));
    pump_await_source(pump);
}

/* epoll reports only an error on the write end of a pipe: that its last reader has gone. */
static void pump_reader_gone(evutil_socket_t fd, short what, void *context)
{
    pump_end(context, PUMP_BROKEN, NULL);
}

static struct event *pump_event(
    struct pump *pump, struct event_base *base, int fd, short what, event_callback_fn callback)
{
    struct event *event = event_new(base, fd, what, callback, pump);
    if (!event)
        abort(); /* libevent's only reason is a lack of memory */
    return event;
}

static struct error *pump_prepare(struct pump *pump, struct event_base *base, bool watch_reader)
{
    struct stat status;
    TRY(fd_set_nonblocking(pump->source, true));
    TRY(fd_set_nonblocking(pump->destination, true));
    if (fstat(pump->destination, &status) < 0)
        return error_errno(errno, "looking at a stream's end");
    pump->readable = pump_event(pump, base, pump->source, EV_READ, pump_readable);
    /* A regular file is always writable, and epoll refuses it. */
    if (S_ISREG(status.st_mode))
        watch_reader = false;
    else
        pump->writable = pump_event(pump, base, pump->destination, EV_WRITE, pump_writable);
    if (watch_reader && S_ISFIFO(status.st_mode)) {
        pump->reader_gone = pump_event(pump, base, pump->destination, EV_READ, pump_reader_gone);
        if (event_add(pump->reader_gone, NULL) < 0)
            return error_new(ERROR_INTERNAL, "the reader of a stream cannot be watched");
    }
    if (event_add(pump->readable, NULL) < 0)
        return error_new(ERROR_INVALID_ARGUMENT, "a stream that cannot be waited for");
    return NULL;
}

struct error *pump_new(struct event_base *base, int source, int destination, bool watch_reader,
    pump_ended *ended, void *context, struct pump **ret_pump)
{
    struct pump *pump = must_new(struct pump);
    pump->source = source;
    pump->destination = destination;
    pump->ended = ended;
    pump->context = context;
    struct error *error = pump_prepare(pump, base, watch_reader);
    if (error) {
        pump_free(pump);
        return error;
    }
    *ret_pump = pump;
    return NULL;
}

bool pump_writer_gone(const struct pump *pump)
{
    struct pollfd source = {.fd = pump->source, .events = POLLIN};
    return pump->source < 0 || (poll(&source, 1, 0) > 0 && (source.revents & POLLHUP));
}

void pump_finish(struct pump *pump)
{
    if (pump->source < 0 || pump->finishing)
        return;
    pump->finishing = true;
    if (!pump->held)
        event_active(pump->readable, EV_READ, 0);
}

uint64_t pump_lost(const struct pump *pump, int *ret_errnum)
{
    *ret_errnum = pump->lost_errno;
    return pump->lost;
}

uint64_t pump_progress(const struct pump *pump)
{
    return pump->progress;
}

void pump_free(struct pump *pump)
{
    if (!pump)
        return;
    pump_close(pump);
    free(pump);
}
