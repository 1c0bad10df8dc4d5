/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/stdio.h"

#include "agent/pull.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

/* Two frames of the link: fewer changes between the process and the agent. */
#define PIPE_SIZE (256 << 10)

enum { INPUT, OUTPUT, ERRORS, STREAMS };

struct stdio_stream {
    struct mux_stream *connection; /* NULL: none, or closed */
    int ours;                      /* our end of the pipe, until something takes it; -1 */
    int theirs;                    /* the process's end, until it has it; -1 */
};

struct stdio {
    struct event_base *base;
    bool pulled; /* no ports: moved by calls */
    bool has_terminal;
    struct stdio_stream streams[STREAMS];
    int terminal; /* for its size; -1 */
    struct pull_writer *input;
    struct pull_reader *readers[2]; /* by enum stdio_output */
};

/* ---- before the process ---- */

static struct error *take_connections(
    struct stdio *stdio, struct link *link, const struct stdio_ports *ports, bool terminal)
{
    const uint32_t numbers[STREAMS] = {ports->input, ports->output, terminal ? 0 : ports->errors};
    for (int i = 0; i < STREAMS; i++) {
        if (numbers[i] == 0)
            continue;
        if (!link)
            return error_new(ERROR_FAILED_PRECONDITION, "this agent has no link that streams could use");
        TRY(link_take_stream(link, numbers[i], &stdio->streams[i].connection));
    }
    return NULL;
}

static struct error *make_pipe(struct stdio *stdio, int which)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(errno, "making a pipe");
    /* Where the kernel grants less, it is only slower. */
    fcntl(ends[0], F_SETPIPE_SZ, PIPE_SIZE);
    stdio->streams[which].ours = ends[which == INPUT ? 1 : 0];
    stdio->streams[which].theirs = ends[which == INPUT ? 0 : 1];
    return NULL;
}

struct error *stdio_new(struct event_base *base, struct link *link, const struct stdio_ports *ports,
    bool terminal, struct stdio **ret_stdio)
{
    _cleanup_(stdio_free) struct stdio *stdio = must_new(struct stdio);
    stdio->base = base;
    stdio->has_terminal = terminal;
    stdio->pulled = ports->input == 0 && ports->output == 0 && ports->errors == 0;
    stdio->terminal = -1;
    for (int i = 0; i < STREAMS; i++)
        stdio->streams[i] = (struct stdio_stream){.ours = -1, .theirs = -1};
    TRY(take_connections(stdio, link, ports, terminal));
    for (int i = 0; i < STREAMS && !terminal; i++) {
        if (stdio->pulled || stdio->streams[i].connection)
            TRY(make_pipe(stdio, i));
    }
    *ret_stdio = TAKE_PTR(stdio);
    return NULL;
}

struct container_streams stdio_child_streams(const struct stdio *stdio)
{
    return (struct container_streams){.input = stdio->streams[INPUT].theirs,
        .output = stdio->streams[OUTPUT].theirs,
        .errors = stdio->streams[ERRORS].theirs};
}

/* ---- the process runs ---- */

static void on_closed(void *context, bool reset)
{
    struct stdio_stream *stream = context;
    stream->connection = NULL;
}

static void attach_connections(struct stdio *stdio)
{
    for (int i = 0; i < STREAMS; i++) {
        struct stdio_stream *stream = &stdio->streams[i];
        if (!stream->connection)
            continue;
        int fd = TAKE_FD(stream->ours);
        mux_attach(stream->connection, i == INPUT ? -1 : fd, i == INPUT ? fd : -1, on_closed, stream);
    }
}

static void make_pullers(struct stdio *stdio)
{
    if (stdio->streams[INPUT].ours >= 0)
        stdio->input = pull_writer_new(stdio->base, TAKE_FD(stdio->streams[INPUT].ours));
    if (stdio->streams[OUTPUT].ours >= 0)
        stdio->readers[STDIO_STDOUT] = pull_reader_new(stdio->base, TAKE_FD(stdio->streams[OUTPUT].ours));
    if (stdio->streams[ERRORS].ours >= 0)
        stdio->readers[STDIO_STDERR] = pull_reader_new(stdio->base, TAKE_FD(stdio->streams[ERRORS].ours));
}

/* Each direction gets a descriptor of the terminal that it can close by itself. */
static struct error *share_terminal(struct stdio *stdio)
{
    for (int i = INPUT; i <= OUTPUT; i++) {
        if (!stdio->pulled && !stdio->streams[i].connection)
            continue;
        stdio->streams[i].ours = fcntl(stdio->terminal, F_DUPFD_CLOEXEC, 0);
        if (stdio->streams[i].ours < 0)
            return error_errno(errno, "sharing the terminal");
    }
    return NULL;
}

struct error *stdio_process_started(struct stdio *stdio, int terminal)
{
    stdio->terminal = terminal;
    for (int i = 0; i < STREAMS; i++)
        close_fd(TAKE_FD(stdio->streams[i].theirs));
    if (terminal >= 0)
        TRY(share_terminal(stdio));
    if (stdio->pulled)
        make_pullers(stdio);
    else
        attach_connections(stdio);
    return NULL;
}

void stdio_process_exited(struct stdio *stdio)
{
    for (int i = OUTPUT; i < STREAMS; i++) {
        if (stdio->streams[i].connection)
            mux_drain(stdio->streams[i].connection);
    }
    for (size_t i = 0; i < ARRAY_SIZE(stdio->readers); i++) {
        if (stdio->readers[i])
            pull_reader_finish(stdio->readers[i]);
    }
}

/* Output that is still on its way goes on without us; input has nobody to go to. */
static void let_go(struct stdio_stream *stream, bool is_output)
{
    if (stream->connection && is_output && stream->ours < 0)
        mux_forget(stream->connection);
    else if (stream->connection)
        mux_reset(stream->connection);
    close_fd(stream->ours);
    close_fd(stream->theirs);
}

void stdio_free(struct stdio *stdio)
{
    if (!stdio)
        return;
    for (int i = 0; i < STREAMS; i++)
        let_go(&stdio->streams[i], i != INPUT);
    pull_writer_free(stdio->input);
    for (size_t i = 0; i < ARRAY_SIZE(stdio->readers); i++)
        pull_reader_free(stdio->readers[i]);
    close_fd(stdio->terminal);
    free(stdio);
}

/* ---- calls ---- */

static struct error *no_such_stream(const struct stdio *stdio)
{
    return error_new(ERROR_FAILED_PRECONDITION, "%s",
        stdio->pulled ? "a process with a terminal has no stream for errors"
                      : "the streams of this process have their own connections");
}

void stdio_read(struct stdio *stdio, enum stdio_output which, uint32_t length, struct ttrpc_call *call)
{
    if (stdio->readers[which])
        pull_reader_read(stdio->readers[which], length, call);
    else
        ttrpc_fail(call, no_such_stream(stdio));
}

void stdio_write(struct stdio *stdio, const void *data, size_t length, struct ttrpc_call *call)
{
    if (stdio->input)
        pull_writer_write(stdio->input, data, length, call);
    else
        ttrpc_fail(call, no_such_stream(stdio));
}

struct error *stdio_close_input(struct stdio *stdio)
{
    if (!stdio->pulled)
        return no_such_stream(stdio);
    if (!stdio->has_terminal && stdio->input)
        pull_writer_close(stdio->input);
    return NULL;
}

struct error *stdio_resize(struct stdio *stdio, uint32_t rows, uint32_t columns)
{
    if (stdio->terminal < 0)
        return error_new(ERROR_FAILED_PRECONDITION, "the process has no terminal");
    if (rows > UINT16_MAX || columns > UINT16_MAX)
        return error_new(
            ERROR_INVALID_ARGUMENT, "%u rows and %u columns are no size of a terminal", rows, columns);
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    if (ioctl(stdio->terminal, TIOCSWINSZ, &size) < 0)
        return error_errno(errno, "resizing the terminal");
    return NULL;
}
