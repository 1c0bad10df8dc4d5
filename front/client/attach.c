/* SPDX-License-Identifier: Apache-2.0 */
#include "client/attach.h"

#include "base/strv.h"
#include "client/pump.h"
#include "client/terminal.h"

#include <fcntl.h>
#include <signal.h>

/* So many requests to end, and it is ended by force, as docker's client does. */
#define PATIENCE_WITH_USER 3
/* The terminal is gone: so long may the process take to end of its own accord. A shell that is the first
   process of its namespace does not even notice SIGHUP. */
#define HANGUP_SECONDS 1
/* After the exit: how long output that still comes may pause, in milliseconds. The shim reports an exit after
   the last output, so this only matters when the reader on this side stands still. */
#define LAST_OUTPUT_MS 500

enum stream_index { STREAM_INPUT, STREAM_OUTPUT, STREAM_ERRORS, STREAM_COUNT };

struct stream {
    struct attach *attach;
    int here; /* this program's standard stream, opened again */
    struct pump *pump;
};

struct attach {
    struct attach_options options;
    struct stream streams[STREAM_COUNT];
    struct terminal *terminal;
    struct detach_keys keys;
    struct event *last_output;
    struct event *hangup;
    unsigned end_requests;
    bool waited;
    bool done;
    struct attach_result result;
};

static void finish_if_complete(struct attach *attach)
{
    if (attach->waited && !attach->streams[STREAM_OUTPUT].pump && !attach->streams[STREAM_ERRORS].pump)
        attach->done = true;
}

/* ---- exit ---- */

static void wait_for_last_output(struct attach *attach)
{
    const struct timeval delay = {.tv_usec = LAST_OUTPUT_MS * 1000};
    event_add(attach->last_output, &delay);
}

static void last_output_due(evutil_socket_t fd, short what, void *context)
{
    struct attach *attach = context;
    bool busy = false;

    for (int i = STREAM_OUTPUT; i <= STREAM_ERRORS; i++)
        if (attach->streams[i].pump && pump_busy(attach->streams[i].pump))
            busy = true;
    if (busy)
        wait_for_last_output(attach);
    else
        attach->done = true;
}

static void on_exit_reported(void *context, struct error *error, const struct task_exit *exit)
{
    struct attach *attach = context;

    if (error_code(error) == ERROR_CANCELLED) { /* the task is being freed */
        error_free(error);
        return;
    }
    attach->waited = true;
    attach->result.end = error ? ATTACH_LOST : ATTACH_EXITED;
    if (exit)
        attach->result.exit = *exit;
    error_free(error);
    wait_for_last_output(attach);
    finish_if_complete(attach);
}

/* ---- streams ---- */

static void stream_close(struct stream *stream)
{
    pump_free(TAKE_PTR(stream->pump));
    close_fd(TAKE_FD(stream->here));
}

static void input_ended(void *context, struct error *error)
{
    struct stream *stream = context;
    struct attach *attach = stream->attach;

    error_free(error); /* the process closed its input, or ours cannot be read: either way there is no more */
    stream_close(stream);
    close_fd(TAKE_FD(attach->options.fifos->input));
    if (!attach->waited)
        task_close_input_begin(attach->options.task, attach->options.exec_id);
}

/* Our reader is gone, or the source ended: closing the fifo tells the process. */
static void output_ended(void *context, struct error *error)
{
    struct stream *stream = context;
    struct attach *attach = stream->attach;
    struct fifos *fifos = attach->options.fifos;

    if (error && error_number(error) != EPIPE && !attach->result.failure)
        attach->result.failure = error_wrap(TAKE_PTR(error), "the output of the container is cut off");
    error_free(error);
    close_fd(stream == &attach->streams[STREAM_OUTPUT] ? TAKE_FD(fifos->output) : TAKE_FD(fifos->errors));
    stream_close(stream);
    finish_if_complete(attach);
}

static void look_for_detach(void *context, char *data, size_t *length)
{
    struct stream *stream = context;
    struct attach *attach = stream->attach;

    if (detach_keys_filter(&attach->keys, data, length) && !attach->waited) {
        attach->result.end = ATTACH_DETACHED;
        attach->done = true;
    }
}

static struct error *begin_output(struct attach *attach, enum stream_index index, int source, int here)
{
    struct stream *stream = &attach->streams[index];

    if (source < 0)
        return NULL;
    TRY(pump_reopen(here, O_WRONLY, &stream->here));
    stream->pump = pump_new(attach->options.base, source, stream->here, NULL, output_ended, stream);
    return NULL;
}

static struct error *begin_input(struct attach *attach)
{
    struct stream *stream = &attach->streams[STREAM_INPUT];
    struct fifos *fifos = attach->options.fifos;

    if (fifos->input < 0)
        return NULL;
    TRY(pump_reopen(STDIN_FILENO, O_RDONLY, &stream->here));
    bool filtered = fifos->terminal && attach->keys.count > 0;
    stream->pump = pump_new(attach->options.base, stream->here, fifos->input,
        filtered ? look_for_detach : NULL, input_ended, stream);
    return NULL;
}

/* ---- signals ---- */

static void send_size(struct attach *attach)
{
    uint32_t columns, rows;

    if (attach->options.fifos->terminal && terminal_size(STDOUT_FILENO, &columns, &rows))
        task_resize_begin(attach->options.task, attach->options.exec_id, columns, rows);
}

static void hangup_due(evutil_socket_t fd, short what, void *context)
{
    struct attach *attach = context;
    task_kill_begin(attach->options.task, attach->options.exec_id, SIGKILL);
}

static void on_signal(void *context, int signal)
{
    struct attach *attach = context;

    /* While this program was stopped the window may have changed unseen. */
    if (signal == SIGWINCH || signal == SIGCONT) {
        send_size(attach);
        return;
    }
    if (signal == SIGHUP && attach->options.fifos->terminal)
        event_add(attach->hangup, &(struct timeval){.tv_sec = HANGUP_SECONDS});
    if (signal_ends(signal) && ++attach->end_requests >= PATIENCE_WITH_USER)
        signal = SIGKILL;
    task_kill_begin(attach->options.task, attach->options.exec_id, (uint32_t)signal);
}

/* ---- life ---- */

struct error *attach_new(const struct attach_options *options, struct attach **ret_attach)
{
    _cleanup_attach_ struct attach *attach = must_new(struct attach);

    attach->options = *options;
    for (int i = 0; i < STREAM_COUNT; i++)
        attach->streams[i] = (struct stream){.attach = attach, .here = -1};
    if (options->detach_keys)
        TRY(detach_keys_parse(options->detach_keys, &attach->keys));
    attach->last_output = evtimer_new(options->base, last_output_due, attach);
    attach->hangup = evtimer_new(options->base, hangup_due, attach);
    if (!attach->last_output || !attach->hangup)
        abort(); /* only for want of memory */
    *ret_attach = TAKE_PTR(attach);
    return NULL;
}

struct error *attach_begin(struct attach *attach)
{
    struct fifos *fifos = attach->options.fifos;

    TRY(fifos_started(fifos));
    task_wait_begin(attach->options.task, attach->options.exec_id, on_exit_reported, attach);
    if (fifos->terminal && fifos->input >= 0 && isatty(STDIN_FILENO))
        TRY(terminal_raw(STDIN_FILENO, &attach->terminal));
    send_size(attach);
    TRY(begin_output(attach, STREAM_OUTPUT, fifos->output, STDOUT_FILENO));
    TRY(begin_output(attach, STREAM_ERRORS, fifos->errors, STDERR_FILENO));
    TRY(begin_input(attach));
    signals_watch(attach->options.signals, attach->options.base, on_signal, attach);
    return NULL;
}

struct error *attach_run(struct attach *attach, struct attach_result *ret_result)
{
    while (!attach->done)
        if (event_base_loop(attach->options.base, EVLOOP_ONCE) != 0)
            return error_new(ERROR_INTERNAL, "the event loop has nothing left to wait for");
    for (int i = 0; i < STREAM_COUNT; i++)
        stream_close(&attach->streams[i]);
    terminal_restore(TAKE_PTR(attach->terminal));
    *ret_result = attach->result;
    attach->result.failure = NULL;
    return NULL;
}

void attach_free(struct attach *attach)
{
    if (!attach)
        return;
    for (int i = 0; i < STREAM_COUNT; i++)
        stream_close(&attach->streams[i]);
    terminal_restore(attach->terminal);
    if (attach->last_output)
        event_free(attach->last_output);
    if (attach->hangup)
        event_free(attach->hangup);
    error_free(attach->result.failure);
    free(attach);
}
