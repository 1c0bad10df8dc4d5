/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caisson logs: the log of a detached container. With -f it goes on until the container ends: inotify tells
 * of more text, the shim's answer to Wait of the end, and since an exit is reported after the last output,
 * what is in the log then is all.
 */
#include "base/fd.h"
#include "base/parse.h"
#include "cli/container.h"
#include "cli/verb.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>

#define BLOCK 65536

struct logs_settings {
    bool follow;
    const char *tail;
};

static const struct option logs_options[] = {
    OPTION(logs_settings, "follow", 'f', OPTION_FLAG, follow, NULL, "go on until the container ends"),
    OPTION(logs_settings, "tail", 'n', OPTION_TEXT, tail, "N", "only the last lines, or all"),
    OPTIONS_END,
};

struct follower {
    int log;
    bool ended;
    struct error *error;
};

static struct error *copy_rest(int log)
{
    char block[BLOCK];
    ssize_t count;

    while ((count = read(log, block, sizeof(block))) > 0)
        TRY(fd_write_all(STDOUT_FILENO, block, (size_t)count));
    return count < 0 ? error_errno(errno, "cannot read the log") : NULL;
}

/* Where the last `lines` lines begin: looked for from the end, a block at a time. */
static struct error *seek_to_tail(int log, int64_t lines)
{
    char block[BLOCK];
    off_t end = lseek(log, 0, SEEK_END), position = end;

    while (position > 0) {
        size_t size = position < BLOCK ? (size_t)position : BLOCK;
        position -= (off_t)size;
        if (pread(log, block, size, position) != (ssize_t)size)
            return error_errno(errno, "cannot read the log");
        for (size_t i = size; i > 0; i--) {
            bool last = position + (off_t)i == end; /* the line end of the last line begins none */
            if (block[i - 1] != '\n' || last || --lines > 0)
                continue;
            lseek(log, position + (off_t)i, SEEK_SET);
            return NULL;
        }
    }
    lseek(log, 0, SEEK_SET);
    return NULL;
}

static struct error *skip_to_tail(int log, const char *tail)
{
    uint64_t lines;

    if (!tail || !strcmp(tail, "all"))
        return NULL;
    TRY(parse_unsigned("--tail", tail, 0, INT64_MAX, &lines));
    if (lines > 0)
        return seek_to_tail(log, (int64_t)lines);
    lseek(log, 0, SEEK_END);
    return NULL;
}

/* ---- following ---- */

static void on_more(evutil_socket_t watch, short what, void *context)
{
    struct follower *follower = context;
    char events[sizeof(struct inotify_event) + NAME_MAX + 1];

    while (read(watch, events, sizeof(events)) > 0)
        ;
    if (!follower->error)
        follower->error = copy_rest(follower->log);
}

static void on_end(void *context, struct error *error, const struct task_exit *exit)
{
    struct follower *follower = context;

    error_free(error); /* the shim is gone: an end, too */
    follower->ended = true;
}

static struct error *follow(struct container *container, const char *path, int log)
{
    struct follower follower = {.log = log};
    _cleanup_fd_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY) < 0)
        return error_errno(errno, "cannot watch %s", path);
    struct event *event = event_new(container->base, watch, EV_READ | EV_PERSIST, on_more, &follower);
    if (!event || event_add(event, NULL) < 0)
        abort(); /* only for want of memory */
    task_wait_begin(container->task, NULL, on_end, &follower);
    on_more(watch, 0, &follower);
    while (!follower.ended && !follower.error && event_base_loop(container->base, EVLOOP_ONCE) == 0)
        ;
    event_free(event);
    task_free(TAKE_PTR(container->task));
    return follower.error ?: copy_rest(log);
}

/* ---- the verb ---- */

static struct error *open_log(const struct container *container, const char *path, int *ret_fd)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return error_new(ERROR_NOT_FOUND,
            "container %s has no log: it ran in the foreground, so its output went there", container->name);
    if (fd < 0)
        return error_errno(errno, "cannot open %s", path);
    *ret_fd = fd;
    return NULL;
}

static struct error *logs(void *context, char **arguments, int *ret_code)
{
    const struct logs_settings *settings = context;
    _cleanup_workplace_ struct workplace workplace = {0};
    _cleanup_container_ struct container container = {0};
    _cleanup_fd_ int log = -1;

    TRY(workplace_open(&workplace));
    TRY(container_open(&workplace, arguments[0], &container));
    _cleanup_free_ char *path = directories_record_file(workplace.directories, container.record->id, "log");
    TRY(open_log(&container, path, &log));
    TRY(skip_to_tail(log, settings->tail));
    if (settings->follow)
        error_free(container_connect(&container)); /* ended already: then there is nothing to follow */
    *ret_code = 0;
    return container.task ? follow(&container, path, log) : copy_rest(log);
}

const struct verb verb_logs = {
    .name = "logs",
    .arguments = "CONTAINER",
    .summary = "Print the output of a detached container",
    .example = "caisson logs -f -n 20 web",
    .options = logs_options,
    .settings_size = sizeof(struct logs_settings),
    .minimum = 1,
    .maximum = 1,
    .run = logs,
};
