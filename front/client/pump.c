/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pump waits for one of its two ends at a time: for the source while there is nothing to write, for the
 * sink while there is. Files that epoll refuses (regular ones, /dev/null) are always ready; a pump that waits
 * for one is called again from the loop at once.
 */
#include "client/pump.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#define BUFFER_SIZE 65536
#define SPLICE_SIZE (1u << 20)
#define ROUNDS 16 /* moves before other events get their turn */

enum pump_wait { WAIT_NOT, WAIT_SOURCE, WAIT_SINK, WAIT_ENDED };

struct pump_side {
    int fd;
    struct event *event; /* NULL: always ready */
};

struct pump {
    struct pump_side source;
    struct pump_side sink;
    struct event *again; /* for sides that are always ready */
    bool copies;
    char *buffer;
    size_t start; /* unwritten bytes of the buffer */
    size_t end;
    pump_filter *filter;
    pump_ended *ended;
    void *context;
};

static bool ready(int fd, short events)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    return poll(&poll_fd, 1, 0) > 0;
}

static struct error *side_error(const char *doing, int errnum)
{
    return error_errno(errnum, "cannot %s", doing);
}

/* EAGAIN does not say which side it was. */
static enum pump_wait blocked_side(struct pump *pump)
{
    if (!ready(pump->source.fd, POLLIN))
        return WAIT_SOURCE;
    if (!ready(pump->sink.fd, POLLOUT))
        return WAIT_SINK;
    pump->copies = true;
    return WAIT_NOT;
}

static enum pump_wait move_pages(struct pump *pump, struct error **ret_error)
{
    ssize_t count = splice(pump->source.fd, NULL, pump->sink.fd, NULL, SPLICE_SIZE, SPLICE_F_NONBLOCK);

    if (count > 0 || (count < 0 && errno == EINTR))
        return WAIT_NOT;
    if (count == 0)
        return WAIT_ENDED;
    if (errno == EAGAIN)
        return blocked_side(pump);
    if (errno == EINVAL) {
        pump->copies = true;
        return WAIT_NOT;
    }
    *ret_error = side_error("move the stream", errno);
    return WAIT_ENDED;
}

static enum pump_wait fill_buffer(struct pump *pump, struct error **ret_error)
{
    if (!ready(pump->source.fd, POLLIN))
        return WAIT_SOURCE;
    ssize_t count = read(pump->source.fd, pump->buffer, BUFFER_SIZE);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR ? WAIT_NOT : WAIT_SOURCE;
    /* The master of a terminal whose other end is closed says EIO. */
    if (count == 0 || (count < 0 && errno == EIO))
        return WAIT_ENDED;
    if (count < 0) {
        *ret_error = side_error("read the stream", errno);
        return WAIT_ENDED;
    }
    pump->start = 0;
    pump->end = (size_t)count;
    if (pump->filter)
        pump->filter(pump->context, pump->buffer, &pump->end);
    return WAIT_NOT;
}

static enum pump_wait empty_buffer(struct pump *pump, struct error **ret_error)
{
    size_t length = pump->end - pump->start;

    if (!ready(pump->sink.fd, POLLOUT))
        return WAIT_SINK;
    /* A blocking sink that is ready takes this much without blocking. */
    if (!(fcntl(pump->sink.fd, F_GETFL) & O_NONBLOCK) && length > PIPE_BUF)
        length = PIPE_BUF;
    ssize_t count = write(pump->sink.fd, pump->buffer + pump->start, length);
    if (count >= 0) {
        pump->start += (size_t)count;
        return WAIT_NOT;
    }
    if (errno == EAGAIN || errno == EINTR)
        return errno == EINTR ? WAIT_NOT : WAIT_SINK;
    *ret_error = side_error("write the stream", errno);
    return WAIT_ENDED;
}

static enum pump_wait move(struct pump *pump, struct error **ret_error)
{
    if (!pump->copies)
        return move_pages(pump, ret_error);
    if (!pump->buffer)
        pump->buffer = must_alloc(BUFFER_SIZE + PUMP_FILTER_SLACK);
    return pump->start < pump->end ? empty_buffer(pump, ret_error) : fill_buffer(pump, ret_error);
}

/* By a timer rather than event_active, which would run before the loop looks at other descriptors. */
static void run_again(struct pump *pump)
{
    event_add(pump->again, &(struct timeval){0});
}

static void wait_for(struct pump *pump, const struct pump_side *side)
{
    if (side->event)
        event_add(side->event, NULL);
    else
        run_again(pump);
}

static void run(evutil_socket_t fd, short what, void *context)
{
    struct pump *pump = context;
    struct error *error = NULL;
    enum pump_wait wait = WAIT_NOT;

    for (int round = 0; round < ROUNDS && wait == WAIT_NOT; round++)
        wait = move(pump, &error);
    switch (wait) {
    case WAIT_NOT:
        run_again(pump);
        return;
    case WAIT_SOURCE:
        wait_for(pump, &pump->source);
        return;
    case WAIT_SINK:
        wait_for(pump, &pump->sink);
        return;
    case WAIT_ENDED:
        pump->ended(pump->context, error);
        return;
    }
}

static bool can_wait(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 &&
           (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || (S_ISCHR(status.st_mode) && isatty(fd)));
}

static struct pump_side side_new(struct event_base *base, int fd, short events, struct pump *pump)
{
    struct pump_side side = {.fd = fd};

    if (can_wait(fd)) {
        side.event = event_new(base, fd, events, run, pump);
        if (!side.event)
            abort(); /* only for want of memory */
    }
    return side;
}

struct pump *pump_new(
    struct event_base *base, int source, int sink, pump_filter *filter, pump_ended *ended, void *context)
{
    struct pump *pump = must_new(struct pump);

    *pump = (struct pump){.filter = filter, .ended = ended, .context = context, .copies = filter != NULL};
    pump->source = side_new(base, source, EV_READ, pump);
    pump->sink = side_new(base, sink, EV_WRITE, pump);
    pump->again = evtimer_new(base, run, pump);
    if (!pump->again)
        abort();
    run_again(pump);
    return pump;
}

bool pump_busy(struct pump *pump)
{
    return pump->start < pump->end || ready(pump->source.fd, POLLIN);
}

static void side_free(struct pump_side *side)
{
    if (side->event)
        event_free(side->event);
}

void pump_free(struct pump *pump)
{
    if (!pump)
        return;
    side_free(&pump->source);
    side_free(&pump->sink);
    event_free(pump->again);
    free(pump->buffer);
    free(pump);
}

struct error *pump_reopen(int fd, int flags, int *ret_fd)
{
    _cleanup_free_ char *path = must_printf("/proc/self/fd/%d", fd);
    struct stat status;
    int copy = -1;

    if (fstat(fd, &status) < 0)
        return error_errno(errno, "cannot use descriptor %d", fd);
    if (S_ISFIFO(status.st_mode) || isatty(fd))
        copy = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (copy < 0)
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return error_errno(errno, "cannot use descriptor %d", fd);
    *ret_fd = copy;
    return NULL;
}
