/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/stdio.h"

#include "base/fd.h"
#include "sandbox/drain.h"
#include "sandbox/endpoint.h"
#include "sandbox/pump.h"

#include <fcntl.h>
#include <string.h>

struct stream {
    struct stdio *stdio;
    struct endpoint endpoint; /* its descriptor: until the pump takes it */
    struct pump *pump;        /* NULL when the stream has ended */
    struct drain *drain;      /* then waits until a program has taken the rest */
};

struct stdio {
    struct event_base *base;
    struct stream streams[STREAM_COUNT];
    struct logger *logger; /* NULL where no program takes the output */
    struct event *ready_soon;
    stdio_ready *ready;
    void *ready_context;
    struct event *patience_over;
    struct event *drained_soon;
    struct timeval patience;
    uint64_t progress_seen;
    bool process_ended;
    stdio_drained *drained;
    void *drained_context;
    char *complaint;
};

/* ---- the end ---- */

static bool is_done(const struct stream *stream)
{
    return !stream->pump && !stream->drain;
}

static bool is_drained(const struct stdio *stdio)
{
    return is_done(&stdio->streams[STREAM_OUT]) && is_done(&stdio->streams[STREAM_ERROR]);
}

static void tell_drained(evutil_socket_t fd, short what, void *context)
{
    struct stdio *stdio = context;
    bool complete = is_drained(stdio);
    evtimer_del(stdio->patience_over);
    stdio_drained *drained = stdio->drained;
    stdio->drained = NULL;
    if (drained)
        drained(stdio->drained_context, complete);
}

static uint64_t output_progress(const struct stdio *stdio)
{
    const struct pump *out = stdio->streams[STREAM_OUT].pump;
    const struct pump *error = stdio->streams[STREAM_ERROR].pump;
    return (out ? pump_progress(out) : 0) + (error ? pump_progress(error) : 0);
}

static void patience_over(evutil_socket_t fd, short what, void *context)
{
    struct stdio *stdio = context;
    uint64_t progress = output_progress(stdio);
    if (progress == stdio->progress_seen) {
        tell_drained(-1, 0, stdio);
        return;
    }
    stdio->progress_seen = progress;
    evtimer_add(stdio->patience_over, &stdio->patience);
}

static void check_drained(struct stdio *stdio)
{
    if (stdio->process_ended && is_drained(stdio))
        event_active(stdio->drained_soon, EV_TIMEOUT, 0);
}

static void note_trouble(struct stream *stream, const struct error *reason)
{
    struct stdio *stdio = stream->stdio;
    const char *name = stream_name((enum stream_index)(stream - stdio->streams));
    int errnum = 0;
    uint64_t lost = pump_lost(stream->pump, &errnum);
    if (stdio->complaint)
        return;
    if (lost > 0)
        stdio->complaint = must_printf(
            "%llu bytes of its %s are lost: %s", (unsigned long long)lost, name, strerror(errnum));
    else if (reason)
        stdio->complaint = must_printf("%s: %s", name, error_message(reason));
}

static void stream_over(void *context)
{
    struct stream *stream = context;
    drain_free(TAKE_PTR(stream->drain));
    close_fd(TAKE_FD(stream->endpoint.kept));
    check_drained(stream->stdio);
}

static void stream_ended(void *context, enum pump_end end, const struct error *reason)
{
    struct stream *stream = context;
    note_trouble(stream, reason);
    pump_free(TAKE_PTR(stream->pump));
    if (end == PUMP_FINISHED && stream->endpoint.await_reader)
        stream->drain = drain_new(stream->stdio->base, stream->endpoint.kept, stream_over, stream);
    else
        stream_over(stream);
}

/* ---- getting ready ---- */

static void tell_ready(evutil_socket_t fd, short what, void *context)
{
    struct stdio *stdio = context;
    stdio->ready(stdio->ready_context, NULL);
}

void stdio_await_ready(struct stdio *stdio, stdio_ready *done, void *context)
{
    stdio->ready = done;
    stdio->ready_context = context;
    if (stdio->logger)
        logger_await_ready(stdio->logger, done, context);
    else
        event_active(stdio->ready_soon, EV_TIMEOUT, 0);
}

/* ---- life ---- */

static struct event *timer_new(struct stdio *stdio, event_callback_fn callback)
{
    struct event *event = evtimer_new(stdio->base, callback, stdio);
    if (!event)
        abort(); /* libevent's only reason is a lack of memory */
    return event;
}

struct error *stdio_new(
    struct event_base *base, const struct stdio_options *options, struct stdio **ret_stdio)
{
    _cleanup_stdio_ struct stdio *stdio = must_new(struct stdio);
    stdio->base = base;
    for (unsigned i = 0; i < STREAM_COUNT; i++)
        stdio->streams[i] = (struct stream){.stdio = stdio, .endpoint = {.fd = -1, .kept = -1}};
    stdio->ready_soon = timer_new(stdio, tell_ready);
    stdio->patience_over = timer_new(stdio, patience_over);
    stdio->drained_soon = timer_new(stdio, tell_drained);
    struct endpoint endpoints[STREAM_COUNT];
    struct error *error = endpoints_open(options, endpoints, &stdio->logger);
    for (unsigned i = 0; i < STREAM_COUNT; i++)
        stdio->streams[i].endpoint = endpoints[i];
    if (error)
        return error;
    *ret_stdio = TAKE_PTR(stdio);
    return NULL;
}

static struct error *connect_stream(
    struct stream *stream, stdio_connect_guest *connect, void *context, uint32_t *ret_port)
{
    int guest = -1;
    uint32_t port = 0;
    if (stream->endpoint.fd < 0)
        return NULL;
    TRY(connect(context, &guest, &port));
    int endpoint = TAKE_FD(stream->endpoint.fd);
    bool input = stream == &stream->stdio->streams[STREAM_IN];
    TRY(pump_new(stream->stdio->base, input ? endpoint : guest, input ? guest : endpoint,
        stream->endpoint.watch_reader, stream_ended, stream, &stream->pump));
    *ret_port = port;
    return NULL;
}

struct error *stdio_connect(
    struct stdio *stdio, stdio_connect_guest *connect, void *context, struct stdio_ports *ret_ports)
{
    struct stdio_ports ports = {0};
    TRY(connect_stream(&stdio->streams[STREAM_IN], connect, context, &ports.in));
    TRY(connect_stream(&stdio->streams[STREAM_OUT], connect, context, &ports.out));
    TRY(connect_stream(&stdio->streams[STREAM_ERROR], connect, context, &ports.error));
    *ret_ports = ports;
    return NULL;
}

void stdio_hold_input(struct stdio *stdio)
{
    struct stream *stream = &stdio->streams[STREAM_IN];
    _cleanup_free_ char *path = TAKE_PTR(stream->endpoint.to_hold);
    /* A fifo that was removed meanwhile ends with its last writer. */
    if (path && stream->pump && !pump_writer_gone(stream->pump))
        stream->endpoint.kept = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

void stdio_close_input(struct stdio *stdio)
{
    struct stream *stream = &stdio->streams[STREAM_IN];
    free(TAKE_PTR(stream->endpoint.to_hold));
    close_fd(TAKE_FD(stream->endpoint.kept));
    if (stream->pump)
        pump_finish(stream->pump);
}

void stdio_process_ended(struct stdio *stdio, uint32_t patience, stdio_drained *drained, void *context)
{
    struct stream *input = &stdio->streams[STREAM_IN];
    pump_free(TAKE_PTR(input->pump));
    close_fd(TAKE_FD(input->endpoint.kept));
    stdio->process_ended = true;
    stdio->drained = drained;
    stdio->drained_context = context;
    stdio->patience = (struct timeval){patience / 1000, patience % 1000 * 1000};
    stdio->progress_seen = output_progress(stdio);
    evtimer_add(stdio->patience_over, &stdio->patience);
    check_drained(stdio);
}

void stdio_hurry(struct stdio *stdio, uint32_t patience)
{
    struct timeval shorter = {patience / 1000, patience % 1000 * 1000};
    if (!stdio->drained || !timercmp(&shorter, &stdio->patience, <))
        return;
    stdio->patience = shorter;
    evtimer_add(stdio->patience_over, &stdio->patience);
}

const char *stdio_complaint(const struct stdio *stdio)
{
    return stdio->complaint;
}

void stdio_free(struct stdio *stdio)
{
    if (!stdio)
        return;
    for (unsigned i = 0; i < STREAM_COUNT; i++) {
        struct stream *stream = &stdio->streams[i];
        pump_free(stream->pump);
        drain_free(stream->drain);
        close_fd(stream->endpoint.fd);
        close_fd(stream->endpoint.kept);
        free(stream->endpoint.to_hold);
    }
    if (stdio->logger)
        logger_leave(stdio->logger);
    if (stdio->ready_soon)
        event_free(stdio->ready_soon);
    if (stdio->patience_over)
        event_free(stdio->patience_over);
    if (stdio->drained_soon)
        event_free(stdio->drained_soon);
    free(stdio->complaint);
    free(stdio);
}
