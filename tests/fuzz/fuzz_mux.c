/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a hostile host at the guest's end of the link (first byte 0) or of a hostile guest at the host's
   end with one stream open: whatever comes, the link ends in an orderly way and frees all it took. */
#include "base/fd.h"
#include "mux/mux.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

struct link {
    struct mux *mux;
    bool over;
    int peer;
};

static void on_ready(void *context)
{
    struct link *link = context;
    struct mux_stream *stream;
    struct error *error = mux_open(link->mux, 1024, &stream);
    if (error)
        error_free(error);
    else
        mux_attach_socket(stream, fcntl(link->peer, F_DUPFD_CLOEXEC, 0), NULL, NULL);
}

static bool on_incoming(void *context, uint32_t port, struct mux_stream *stream)
{
    struct link *link = context;
    if (port == 1024)
        mux_attach_socket(stream, fcntl(link->peer, F_DUPFD_CLOEXEC, 0), NULL, NULL);
    return port < 2048;
}

static void on_failed(void *context, const struct error *reason)
{
    ((struct link *)context)->over = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mux_events events = {.ready = on_ready, .incoming = on_incoming, .failed = on_failed};
    if (size < 1 || size > 60000)
        return 0;
    signal(SIGPIPE, SIG_IGN);
    struct event_base *base = event_base_new();
    int raw, end, stream_end;
    struct link link = {0};
    error_free(unix_pair(&raw, &end));
    error_free(unix_pair(&link.peer, &stream_end));
    error_free(mux_new(base, end, data[0] != 0, &events, &link, &link.mux));
    error_free(fd_write_all(raw, data + 1, size - 1));
    shutdown(raw, SHUT_WR);
    while (!link.over && event_base_loop(base, EVLOOP_ONCE) == 0) {
    }
    mux_free(link.mux);
    event_base_free(base);
    close(raw);
    close(link.peer);
    close(stream_end);
    return 0;
}
