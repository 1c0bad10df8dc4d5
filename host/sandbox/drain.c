/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel tells a writer that there is room, not that a pipe is empty. In a pipe of a single page the two
 * are the same; a pipe can be made that small when no more than a page of it is in use. Until then its
 * reader is busy, and is looked after again a moment later.
 */
#include "sandbox/drain.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/ioctl.h>

#define LOOK_MILLISECONDS 5

struct drain {
    int pipe;
    struct event *look;
    struct event *room;
    void (*done)(void *context);
    void *context;
};

static bool is_empty(int pipe)
{
    int held = 0;
    return ioctl(pipe, FIONREAD, &held) < 0 || held == 0;
}

static bool has_reader(int pipe)
{
    struct pollfd end = {.fd = pipe};
    return poll(&end, 1, 0) == 0;
}

/* Room comes with the last byte, and an error (which counts as room) with the reader's end. */
static void on_room(evutil_socket_t fd, short what, void *context)
{
    struct drain *drain = context;
    drain->done(drain->context);
}

static void look(evutil_socket_t fd, short what, void *context)
{
    static const struct timeval moment = {.tv_usec = LOOK_MILLISECONDS * 1000};
    struct drain *drain = context;
    if (is_empty(drain->pipe) || !has_reader(drain->pipe))
        drain->done(drain->context);
    else if (fcntl(drain->pipe, F_SETPIPE_SZ, 1) < 0)
        evtimer_add(drain->look, &moment);
    else
        event_add(drain->room, NULL);
}

struct drain *drain_new(struct event_base *base, int pipe, void (*done)(void *context), void *context)
{
    struct drain *drain = must_new(struct drain);
    *drain = (struct drain){.pipe = pipe, .done = done, .context = context};
    drain->look = evtimer_new(base, look, drain);
    drain->room = event_new(base, pipe, EV_WRITE, on_room, drain);
    if (!drain->look || !drain->room)
        abort(); /* libevent's only reason is a lack of memory */
    event_active(drain->look, EV_TIMEOUT, 0);
    return drain;
}

void drain_free(struct drain *drain)
{
    if (!drain)
        return;
    event_free(drain->look);
    event_free(drain->room);
    free(drain);
}
