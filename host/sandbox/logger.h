/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that take the output of a process: what containerd's addresses binary:///path?name=value and
 * binary-v2:// name, and nerdctl's logging is made of
 * (https://github.com/containerd/containerd/blob/main/docs/runtime-v2.md, "Logging").
 *
 * The program gets the names and values of the query as its arguments and CONTAINER_ID and
 * CONTAINER_NAMESPACE as its whole environment. Its descriptors 3 and 4 are the process's standard output and
 * error, 5 is where it says that it is ready: by closing it (binary), or by a byte (binary-v2).
 *
 * It may live longer than the streams that it reads: nerdctl's ends when containerd tells the container's
 * exit. So the streams give it up with logger_leave, and whoever deletes the container waits for its end.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <stdbool.h>

/* How long a logger may take to get ready, in seconds. */
#define LOGGER_READY_SECONDS 10
/* How long a logger that somebody waits for may take until it gets SIGTERM, and from there until SIGKILL
   (containerd's own shim gives 12 seconds). */
#define LOGGER_END_MILLISECONDS 1000
#define LOGGER_KILL_MILLISECONDS 11000

/* All loggers of a supervisor. */
struct loggers;
/* The namespace is containerd's; copied. */
struct loggers *loggers_new(struct event_base *base, const char *namespace);
/* Loggers that still run are left to themselves: they end with their streams. Takes NULL. */
void loggers_free(struct loggers *loggers);

struct logger;
bool logger_is_meant(const char *address);
/* Whose output it is: exec_id "" for a container's first process. Borrowed during the call. */
struct logger_owner {
    const char *container_id;
    const char *exec_id;
};
/* Starts the program. ret_streams are the ends to write standard output and error to, the caller's. */
struct error *logger_start(struct loggers *loggers, const char *address, const struct logger_owner *owner,
    int ret_streams[2], struct logger **ret_logger);

/* Tells once, from the event loop, that the logger is ready, or why it will not be (the callee's). A logger
   that is left before does not tell. */
typedef void logger_ready(void *context, struct error *error);
void logger_await_ready(struct logger *logger, logger_ready *done, void *context);
/* Its streams are closed, and it is nobody's any more. */
void logger_leave(struct logger *logger);

/* Calls `done` once, from the event loop, when no logger of this owner runs any more; those that take too
   long are ended. NULL: of any owner. */
void loggers_await_end(
    struct loggers *loggers, const struct logger_owner *owner, void (*done)(void *context), void *context);
