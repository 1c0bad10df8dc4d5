/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/dial.h"

#include "base/cleanup.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/queue.h>
#include <sys/socket.h>

struct dial {
    LIST_ENTRY(dial) entry;
    struct dials *dials;
    struct mux_stream *stream;
    uint16_t port;
    bool is_six; /* the second address is being tried */
    int socket;
    struct event *writable;
};

struct dials {
    struct event_base *base;
    LIST_HEAD(, dial) list;
    unsigned count;
};

static void hang_up(struct dial *dial)
{
    if (dial->writable)
        event_free(TAKE_PTR(dial->writable));
    close_fd(TAKE_FD(dial->socket));
}

static void dial_free(struct dial *dial)
{
    hang_up(dial);
    LIST_REMOVE(dial, entry);
    dial->dials->count--;
    free(dial);
}

static void on_dropped(void *context, bool reset)
{
    dial_free(context);
}

static int connect_to(int socket, uint16_t port, bool is_six)
{
    const struct sockaddr_in four = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    const struct sockaddr_in6 six = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    return is_six ? connect(socket, (const struct sockaddr *)&six, sizeof(six))
                  : connect(socket, (const struct sockaddr *)&four, sizeof(four));
}

static void on_writable(evutil_socket_t fd, short what, void *context);

/* Whether an answer is awaited. */
static bool try_address(struct dial *dial)
{
    int flags = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    dial->socket = socket(dial->is_six ? AF_INET6 : AF_INET, flags, 0);
    if (dial->socket < 0)
        return false;
    if (connect_to(dial->socket, dial->port, dial->is_six) < 0 && errno != EINPROGRESS)
        return false;
    dial->writable = event_new(dial->dials->base, dial->socket, EV_WRITE, on_writable, dial);
    return dial->writable && event_add(dial->writable, NULL) == 0;
}

static void try_next(struct dial *dial)
{
    hang_up(dial);
    if (!dial->is_six) {
        dial->is_six = true;
        if (try_address(dial))
            return;
    }
    mux_reset(dial->stream);
    dial_free(dial);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    struct dial *dial = context;
    int failure = 0;
    socklen_t length = sizeof(failure);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &length) < 0 || failure != 0) {
        try_next(dial);
        return;
    }
    mux_attach_socket(dial->stream, TAKE_FD(dial->socket), NULL, NULL);
    dial_free(dial);
}

struct dials *dials_new(struct event_base *base)
{
    struct dials *dials = must_new(struct dials);
    dials->base = base;
    LIST_INIT(&dials->list);
    return dials;
}

bool dials_add(struct dials *dials, uint16_t port, struct mux_stream *stream)
{
    if (dials->count >= DIALS_MAX)
        return false;
    struct dial *dial = must_new(struct dial);
    *dial = (struct dial){.dials = dials, .stream = stream, .port = port, .socket = -1};
    LIST_INSERT_HEAD(&dials->list, dial, entry);
    dials->count++;
    mux_watch(stream, on_dropped, dial);
    if (!try_address(dial))
        try_next(dial);
    return true;
}

void dials_free(struct dials *dials)
{
    if (!dials)
        return;
    while (!LIST_EMPTY(&dials->list)) {
        struct dial *dial = LIST_FIRST(&dials->list);
        mux_forget(dial->stream);
        dial_free(dial);
    }
    free(dials);
}
