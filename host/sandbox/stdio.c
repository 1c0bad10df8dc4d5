/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/stdio.h"

#include "base/fd.h"
#include "sandbox/pump.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum stream_index { STREAM_IN, STREAM_OUT, STREAM_ERROR, STREAM_COUNT };

static const char *const stream_names[STREAM_COUNT] = {"standard input", "standard output", "standard error"};

struct stream {
    struct stdio *stdio;
    int endpoint; /* until the pump takes it */
    int kept;     /* the other end of the fifo, held open */
    bool watch_reader;
    struct pump *pump; /* NULL when the stream has ended */
};

struct stdio {
    struct event_base *base;
    struct stream streams[STREAM_COUNT];
    struct event *patience_over;
    struct event *drained_soon;
    struct timeval patience;
    uint64_t progress_seen;
    bool process_ended;
    stdio_drained *drained;
    void *drained_context;
    char *complaint;
};

/* ---- endpoints ---- */

static struct error *open_fifo_end(const char *path, int flags, const char *name, int *ret_fd)
{
    int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "%s: opening %s", name, path);
    *ret_fd = fd;
    return NULL;
}

/* A reader first: without one, opening the write end without blocking fails. */
static struct error *open_output_fifo(
    struct stream *stream, const char *path, const char *name, enum stdio_style style)
{
    if (style == STDIO_LIKE_PIPES) {
        stream->endpoint = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        stream->watch_reader = stream->endpoint >= 0;
        if (stream->endpoint >= 0)
            return NULL;
        if (errno != ENXIO)
            return error_errno(errno, "%s: opening %s", name, path);
    }
    TRY(open_fifo_end(path, O_RDONLY, name, &stream->kept));
    return open_fifo_end(path, O_WRONLY, name, &stream->endpoint);
}

static struct error *open_input_fifo(
    struct stream *stream, const char *path, const char *name, enum stdio_style style)
{
    TRY(open_fifo_end(path, O_RDONLY, name, &stream->endpoint));
    return style == STDIO_KEEP_OPEN ? open_fifo_end(path, O_WRONLY, name, &stream->kept) : NULL;
}

static struct error *open_file(struct stream *stream, const char *path, const char *name, bool input)
{
    int flags = input ? O_RDONLY : O_WRONLY | O_APPEND | O_CREAT;
    stream->endpoint = open(path, flags | O_CLOEXEC | O_NOCTTY, 0600);
    return stream->endpoint < 0 ? error_errno(errno, "%s: opening %s", name, path) : NULL;
}

static struct error *check_fifo(const char *path, const char *name)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return error_errno(errno, "%s: %s", name, path);
    if (!S_ISFIFO(status.st_mode))
        return error_new(ERROR_INVALID_ARGUMENT, "%s: %s is not a fifo", name, path);
    return NULL;
}

static struct error *open_endpoint(
    struct stream *stream, const char *address, enum stream_index index, enum stdio_style style)
{
    const char *name = stream_names[index];
    bool input = index == STREAM_IN;
    if (strncmp(address, "file://", 7) == 0)
        return open_file(stream, address + 7, name, input);
    if (strstr(address, "://") && strncmp(address, "fifo://", 7) != 0)
        return error_new(ERROR_UNIMPLEMENTED, "%s: %s is not supported, only fifos and file:// addresses are",
            name, address);
    const char *path = strncmp(address, "fifo://", 7) == 0 ? address + 7 : address;
    TRY(check_fifo(path, name));
    return input ? open_input_fifo(stream, path, name, style) : open_output_fifo(stream, path, name, style);
}

/* Output that nobody asked for still has to go somewhere. */
static struct error *open_nowhere(struct stream *stream)
{
    stream->endpoint = open("/dev/null", O_WRONLY | O_CLOEXEC);
    return stream->endpoint < 0 ? error_errno(errno, "opening /dev/null") : NULL;
}

static struct error *open_endpoints(struct stdio *stdio, const struct stdio_options *options)
{
    const char *const addresses[STREAM_COUNT] = {
        options->in, options->out, options->terminal ? NULL : options->error};
    for (unsigned i = 0; i < STREAM_COUNT; i++) {
        struct stream *stream = &stdio->streams[i];
        if (addresses[i] && *addresses[i])
            TRY(open_endpoint(stream, addresses[i], i, options->style));
        else if (i == STREAM_OUT || (i == STREAM_ERROR && !options->terminal))
            TRY(open_nowhere(stream));
    }
    return NULL;
}

/* ---- the end ---- */

static void tell_drained(evutil_socket_t fd, short what, void *context)
{
    struct stdio *stdio = context;
    bool complete = !stdio->streams[STREAM_OUT].pump && !stdio->streams[STREAM_ERROR].pump;
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
    if (stdio->process_ended && !stdio->streams[STREAM_OUT].pump && !stdio->streams[STREAM_ERROR].pump)
        event_active(stdio->drained_soon, EV_TIMEOUT, 0);
}

static void note_trouble(struct stream *stream, const struct error *reason)
{
    struct stdio *stdio = stream->stdio;
    const char *name = stream_names[stream - stdio->streams];
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

static void stream_ended(void *context, enum pump_end end, const struct error *reason)
{
    struct stream *stream = context;
    struct stdio *stdio = stream->stdio;
    note_trouble(stream, reason);
    pump_free(TAKE_PTR(stream->pump));
    close_fd(TAKE_FD(stream->kept));
    check_drained(stdio);
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
        stdio->streams[i] = (struct stream){.stdio = stdio, .endpoint = -1, .kept = -1};
    stdio->patience_over = timer_new(stdio, patience_over);
    stdio->drained_soon = timer_new(stdio, tell_drained);
    TRY(open_endpoints(stdio, options));
    *ret_stdio = TAKE_PTR(stdio);
    return NULL;
}

static struct error *connect_stream(
    struct stream *stream, stdio_connect_guest *connect, void *context, uint32_t *ret_port)
{
    int guest = -1;
    uint32_t port = 0;
    if (stream->endpoint < 0)
        return NULL;
    TRY(connect(context, &guest, &port));
    int endpoint = TAKE_FD(stream->endpoint);
    bool input = stream == &stream->stdio->streams[STREAM_IN];
    TRY(pump_new(stream->stdio->base, input ? endpoint : guest, input ? guest : endpoint,
        stream->watch_reader, stream_ended, stream, &stream->pump));
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

void stdio_close_input(struct stdio *stdio)
{
    struct stream *stream = &stdio->streams[STREAM_IN];
    close_fd(TAKE_FD(stream->kept));
    if (stream->pump)
        pump_finish(stream->pump);
}

void stdio_process_ended(struct stdio *stdio, uint32_t patience, stdio_drained *drained, void *context)
{
    struct stream *input = &stdio->streams[STREAM_IN];
    pump_free(TAKE_PTR(input->pump));
    close_fd(TAKE_FD(input->kept));
    stdio->process_ended = true;
    stdio->drained = drained;
    stdio->drained_context = context;
    stdio->patience = (struct timeval){patience / 1000, patience % 1000 * 1000};
    stdio->progress_seen = output_progress(stdio);
    evtimer_add(stdio->patience_over, &stdio->patience);
    check_drained(stdio);
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
        close_fd(stream->endpoint);
        close_fd(stream->kept);
    }
    if (stdio->patience_over)
        event_free(stdio->patience_over);
    if (stdio->drained_soon)
        event_free(stdio->drained_soon);
    free(stdio->complaint);
    free(stdio);
}
