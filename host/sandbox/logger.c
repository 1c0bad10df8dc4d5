/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/logger.h"

#include "base/fd.h"
#include "base/process.h"
#include "base/strv.h"
#include "sandbox/address.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/queue.h>

struct logger {
    struct loggers *loggers;
    char *path;
    char *container_id;
    char *exec_id;
    bool must_speak; /* binary-v2: closing the pipe is not enough */
    bool left;       /* nobody holds it any more */
    bool terminated; /* by SIGTERM */
    bool is_ready;   /* or will never be: `failure` */
    struct error *failure;
    int ready_pipe;
    struct event *said_ready;
    struct event *ready_soon; /* calls `ready` */
    logger_ready *ready;
    void *ready_context;
    struct process_watch *watch; /* NULL once it has ended */
    struct event *too_late;      /* armed when somebody waits for its end */
    TAILQ_ENTRY(logger) entry;
};

struct awaited {
    struct loggers *loggers;
    char *container_id; /* NULL: of any owner */
    char *exec_id;
    struct event *over;
    void (*done)(void *context);
    void *context;
    TAILQ_ENTRY(awaited) entry;
};

struct loggers {
    struct event_base *base;
    char *namespace;
    TAILQ_HEAD(, logger) all;
    TAILQ_HEAD(, awaited) awaited;
};

static struct event *timer_new(struct loggers *loggers, event_callback_fn callback, void *context)
{
    struct event *event = evtimer_new(loggers->base, callback, context);
    if (!event)
        abort(); /* libevent's only reason is a lack of memory */
    return event;
}

static void arm(struct event *event, unsigned milliseconds)
{
    struct timeval delay = {milliseconds / 1000, milliseconds % 1000 * 1000};
    evtimer_add(event, &delay);
}

/* ---- waiting for ends ---- */

static bool is_of(const struct logger *logger, const struct awaited *awaited)
{
    return !awaited->container_id || (strcmp(logger->container_id, awaited->container_id) == 0 &&
                                         strcmp(logger->exec_id, awaited->exec_id) == 0);
}

static bool is_over(const struct awaited *awaited)
{
    struct logger *logger;
    TAILQ_FOREACH (logger, &awaited->loggers->all, entry) {
        if (is_of(logger, awaited))
            return false;
    }
    return true;
}

static void awaited_free(struct awaited *awaited)
{
    TAILQ_REMOVE(&awaited->loggers->awaited, awaited, entry);
    event_free(awaited->over);
    free(awaited->container_id);
    free(awaited->exec_id);
    free(awaited);
}

static void tell_over(evutil_socket_t fd, short what, void *context)
{
    struct awaited *awaited = context;
    void (*done)(void *context) = awaited->done;
    void *done_context = awaited->context;
    awaited_free(awaited);
    done(done_context);
}

static void check_awaited(struct loggers *loggers)
{
    struct awaited *awaited;
    TAILQ_FOREACH (awaited, &loggers->awaited, entry) {
        if (is_over(awaited))
            event_active(awaited->over, EV_TIMEOUT, 0);
    }
}

static void too_late(evutil_socket_t fd, short what, void *context)
{
    struct logger *logger = context;
    if (!logger->watch)
        return;
    kill(process_watch_pid(logger->watch), logger->terminated ? SIGKILL : SIGTERM);
    if (!logger->terminated)
        arm(logger->too_late, LOGGER_KILL_MILLISECONDS);
    logger->terminated = true;
}

void loggers_await_end(
    struct loggers *loggers, const struct logger_owner *owner, void (*done)(void *context), void *context)
{
    struct logger *logger;
    struct awaited *awaited = must_new(struct awaited);
    *awaited = (struct awaited){.loggers = loggers,
        .container_id = owner ? must_copy(owner->container_id) : NULL,
        .exec_id = owner ? must_copy(owner->exec_id) : NULL,
        .done = done,
        .context = context};
    awaited->over = timer_new(loggers, tell_over, awaited);
    TAILQ_INSERT_TAIL(&loggers->awaited, awaited, entry);
    TAILQ_FOREACH (logger, &loggers->all, entry) {
        if (is_of(logger, awaited) && !evtimer_pending(logger->too_late, NULL))
            arm(logger->too_late, LOGGER_END_MILLISECONDS);
    }
    check_awaited(loggers);
}

/* ---- getting ready ---- */

static void stop_listening(struct logger *logger)
{
    if (logger->said_ready)
        event_free(TAKE_PTR(logger->said_ready));
    close_fd(TAKE_FD(logger->ready_pipe));
}

static void settle(struct logger *logger, struct error *failure)
{
    stop_listening(logger);
    logger->is_ready = true;
    logger->failure = failure;
    if (logger->ready)
        event_active(logger->ready_soon, EV_TIMEOUT, 0);
}

static void listen_for_ready(evutil_socket_t fd, short what, void *context)
{
    struct logger *logger = context;
    char byte;
    ssize_t count = (what & EV_READ) ? read(fd, &byte, 1) : 0;
    if (!(what & EV_READ))
        settle(logger, error_new(ERROR_DEADLINE_EXCEEDED, "the logger %s does not get ready", logger->path));
    else if (count == 0 && logger->must_speak)
        settle(logger,
            error_new(ERROR_FAILED_PRECONDITION, "the logger %s ended before it was ready", logger->path));
    else if (count >= 0)
        settle(logger, NULL);
    else
        event_add(logger->said_ready, NULL);
}

static void tell_ready(evutil_socket_t fd, short what, void *context)
{
    struct logger *logger = context;
    logger_ready *ready = TAKE_PTR(logger->ready);
    if (ready)
        ready(logger->ready_context, TAKE_PTR(logger->failure));
}

void logger_await_ready(struct logger *logger, logger_ready *done, void *context)
{
    logger->ready = done;
    logger->ready_context = context;
    if (logger->is_ready)
        event_active(logger->ready_soon, EV_TIMEOUT, 0);
}

static struct error *watch_ready_pipe(struct logger *logger, int fd)
{
    static const struct timeval patience = {.tv_sec = LOGGER_READY_SECONDS};
    logger->ready_pipe = fd;
    TRY(fd_set_nonblocking(fd, true));
    logger->said_ready = event_new(logger->loggers->base, fd, EV_READ, listen_for_ready, logger);
    if (!logger->said_ready || event_add(logger->said_ready, &patience) < 0)
        return error_new(ERROR_INTERNAL, "the logger %s cannot be waited for", logger->path);
    return NULL;
}

/* ---- life ---- */

static void logger_free(struct logger *logger)
{
    stop_listening(logger);
    TAILQ_REMOVE(&logger->loggers->all, logger, entry);
    process_watch_free(logger->watch);
    event_free(logger->ready_soon);
    event_free(logger->too_late);
    error_free(logger->failure);
    free(logger->path);
    free(logger->container_id);
    free(logger->exec_id);
    free(logger);
}

/* It counts as long as its process runs or its streams are open. */
static void free_if_over(struct logger *logger)
{
    struct loggers *loggers = logger->loggers;
    if (logger->watch || !logger->left)
        return;
    logger_free(logger);
    check_awaited(loggers);
}

static void ended(void *context, int status)
{
    struct logger *logger = context;
    process_watch_free(TAKE_PTR(logger->watch));
    evtimer_del(logger->too_late);
    free_if_over(logger);
}

void logger_leave(struct logger *logger)
{
    logger->left = true;
    logger->ready = NULL;
    stop_listening(logger);
    free_if_over(logger);
}

static struct logger *logger_new(
    struct loggers *loggers, const struct address *address, const struct logger_owner *owner)
{
    struct logger *logger = must_new(struct logger);
    *logger = (struct logger){.loggers = loggers,
        .path = must_copy(address->path),
        .container_id = must_copy(owner->container_id),
        .exec_id = must_copy(owner->exec_id),
        .must_speak = strcmp(address->scheme, "binary-v2") == 0,
        .ready_pipe = -1};
    logger->ready_soon = timer_new(loggers, tell_ready, logger);
    logger->too_late = timer_new(loggers, too_late, logger);
    TAILQ_INSERT_TAIL(&loggers->all, logger, entry);
    return logger;
}

/* The three pipes: [0] is the end to read from, [1] to write to. */
struct pipes {
    int out[2];
    int error[2];
    int ready[2];
};

static void pipes_close(struct pipes *pipes)
{
    for (int i = 0; i < 2; i++) {
        close_fd(pipes->out[i]);
        close_fd(pipes->error[i]);
        close_fd(pipes->ready[i]);
    }
}

#define _cleanup_pipes_ __attribute__((cleanup(pipes_close)))

static struct error *pipes_open(struct pipes *pipes)
{
    if (pipe2(pipes->out, O_CLOEXEC) < 0 || pipe2(pipes->error, O_CLOEXEC) < 0 ||
        pipe2(pipes->ready, O_CLOEXEC) < 0)
        return error_errno(errno, "making a pipe");
    return NULL;
}

static struct error *spawn(const struct loggers *loggers, const struct address *address,
    const struct logger_owner *owner, const struct pipes *pipes, pid_t *ret_pid)
{
    _cleanup_strv_ char **arguments = NULL;
    _cleanup_strv_ char **environment = NULL;
    strv_append(&arguments, address->path);
    strv_extend(&arguments, address->query);
    strv_append_printf(
        &environment, "CONTAINER_ID=%s", *owner->exec_id ? owner->exec_id : owner->container_id);
    strv_append_printf(&environment, "CONTAINER_NAMESPACE=%s", loggers->namespace);
    const struct process_fd fds[] = {{.fd = pipes->out[0], .child_fd = 3},
        {.fd = pipes->error[0], .child_fd = 4}, {.fd = pipes->ready[1], .child_fd = 5}};
    const struct process_options options = {.arguments = arguments,
        .environment = environment,
        .fds = fds,
        .fd_count = ARRAY_SIZE(fds),
        .new_session = true};
    return process_spawn(&options, ret_pid);
}

static struct error *begin(struct logger *logger, const struct address *address,
    const struct logger_owner *owner, struct pipes *pipes)
{
    pid_t pid = 0;
    TRY(spawn(logger->loggers, address, owner, pipes, &pid));
    TRY(process_watch_new(logger->loggers->base, pid, ended, logger, &logger->watch));
    return watch_ready_pipe(logger, TAKE_FD(pipes->ready[0]));
}

bool logger_is_meant(const char *address)
{
    return strncmp(address, "binary://", 9) == 0 || strncmp(address, "binary-v2://", 12) == 0;
}

struct error *logger_start(struct loggers *loggers, const char *text, const struct logger_owner *owner,
    int ret_streams[2], struct logger **ret_logger)
{
    _cleanup_address_ struct address address = {0};
    _cleanup_pipes_ struct pipes pipes = {{-1, -1}, {-1, -1}, {-1, -1}};
    TRY(address_parse(text, &address));
    TRY(pipes_open(&pipes));
    struct logger *logger = logger_new(loggers, &address, owner);
    struct error *error = begin(logger, &address, owner, &pipes);
    if (error) {
        logger_leave(logger);
        return error_wrap(error, "the logger");
    }
    ret_streams[0] = TAKE_FD(pipes.out[1]);
    ret_streams[1] = TAKE_FD(pipes.error[1]);
    *ret_logger = logger;
    return NULL;
}

struct loggers *loggers_new(struct event_base *base, const char *namespace)
{
    struct loggers *loggers = must_new(struct loggers);
    loggers->base = base;
    loggers->namespace = must_copy(namespace);
    TAILQ_INIT(&loggers->all);
    TAILQ_INIT(&loggers->awaited);
    return loggers;
}

void loggers_free(struct loggers *loggers)
{
    if (!loggers)
        return;
    while (!TAILQ_EMPTY(&loggers->awaited))
        awaited_free(TAILQ_FIRST(&loggers->awaited));
    while (!TAILQ_EMPTY(&loggers->all))
        logger_free(TAILQ_FIRST(&loggers->all));
    free(loggers->namespace);
    free(loggers);
}
