/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link.h"

#include "agent/dial.h"
#include "base/fd.h"

struct link {
    struct mux *mux;
    struct ttrpc_server *server;
    struct dials *dials;
    struct mux_stream *waiting[LINK_WAITING_MAX]; /* NULL where a place is free */
    bool greeted;
    link_regreeted *regreeted;
    link_failed *failed;
    void *context;
};

static bool serve_agent(struct link *link, struct mux_stream *stream)
{
    _cleanup_fd_ int ours = -1, mux_end = -1;
    _cleanup_error_ struct error *error = unix_pair(&ours, &mux_end);
    if (!error)
        error = ttrpc_server_serve(link->server, TAKE_FD(ours));
    if (error)
        return false;
    mux_attach_socket(stream, TAKE_FD(mux_end), NULL, NULL);
    return true;
}

/* The peer gave the stream up before anybody asked for it. */
static void on_dropped(void *place, bool reset)
{
    *(struct mux_stream **)place = NULL;
}

static bool keep_waiting(struct link *link, struct mux_stream *stream)
{
    for (size_t i = 0; i < LINK_WAITING_MAX; i++) {
        if (link->waiting[i])
            continue;
        link->waiting[i] = stream;
        mux_watch(stream, on_dropped, &link->waiting[i]);
        return true;
    }
    return false;
}

static bool on_incoming(void *context, uint32_t port, struct mux_stream *stream)
{
    struct link *link = context;
    if (port > LINK_PORT_TCP && port <= LINK_PORT_TCP + UINT16_MAX)
        return dials_add(link->dials, (uint16_t)(port - LINK_PORT_TCP), stream);
    switch (port) {
    case LINK_PORT_AGENT:
        return serve_agent(link, stream);
    case LINK_PORT_STREAMS:
        return keep_waiting(link, stream);
    default:
        return false;
    }
}

/* A second hello comes from the host end of a machine that was started from a saved one. */
static void on_ready(void *context)
{
    struct link *link = context;
    if (link->greeted && link->regreeted)
        link->regreeted(link->context);
    link->greeted = true;
}

static void on_failed(void *context, const struct error *reason)
{
    struct link *link = context;
    link->failed(link->context, reason);
}

struct error *link_new(struct event_base *base, int fd, struct ttrpc_server *server, link_failed *failed,
    void *context, struct link **ret_link)
{
    static const struct mux_events events = {.ready = on_ready, .incoming = on_incoming, .failed = on_failed};
    struct link *link = must_new(struct link);
    *link = (struct link){.server = server, .failed = failed, .context = context};
    struct error *error = mux_new(base, fd, false, &events, link, &link->mux);
    if (error) {
        free(link);
        return error;
    }
    link->dials = dials_new(base);
    *ret_link = link;
    return NULL;
}

struct error *link_take_stream(struct link *link, uint32_t number, struct mux_stream **ret_stream)
{
    for (size_t i = 0; i < LINK_WAITING_MAX; i++) {
        if (!link->waiting[i] || mux_stream_id(link->waiting[i]) != number)
            continue;
        *ret_stream = TAKE_PTR(link->waiting[i]);
        mux_watch(*ret_stream, NULL, NULL);
        return NULL;
    }
    return error_new(ERROR_NOT_FOUND, "no stream with the number %u was opened", number);
}

struct error *link_open_stream(struct link *link, uint32_t port, struct mux_stream **ret_stream)
{
    return mux_open(link->mux, port, ret_stream);
}

void link_watch_host(struct link *link, link_regreeted *regreeted)
{
    link->regreeted = regreeted;
}

void link_free(struct link *link)
{
    if (!link)
        return;
    dials_free(link->dials);
    mux_free(link->mux);
    free(link);
}
