/* SPDX-License-Identifier: Apache-2.0 */
/* stop, kill and wait. */
#include "cli/container.h"
#include "cli/verb.h"
#include "client/signals.h"

#include <signal.h>
#include <stdio.h>

/* How long after an exit its record may take, in milliseconds: the front end or publish writes it. */
#define RECORD_TIMEOUT 10000

#define NOT_GIVEN (-1)

static void print_name(const struct container *container)
{
    puts(container->name);
    fflush(stdout);
}

/* ---- waiting ---- */

struct wait {
    bool done;
    bool expired;
    struct error *error;
    struct task_exit exit;
};

static void on_exit_reported(void *context, struct error *error, const struct task_exit *exit)
{
    struct wait *wait = context;

    wait->done = true;
    wait->error = error;
    if (exit)
        wait->exit = *exit;
}

static void on_timeout(evutil_socket_t fd, short what, void *context)
{
    ((struct wait *)context)->expired = true;
}

/* Until the process has ended or the time is over; seconds < 0 is without end. */
static void wait_at_most(struct container *container, struct wait *wait, int64_t seconds)
{
    const struct timeval delay = {.tv_sec = seconds};
    struct event *timer = evtimer_new(container->base, on_timeout, wait);

    if (!timer)
        abort(); /* only for want of memory */
    wait->expired = false;
    if (seconds >= 0)
        event_add(timer, &delay);
    while (!wait->done && !wait->expired && event_base_loop(container->base, EVLOOP_ONCE) == 0)
        ;
    event_free(timer);
}

/* The exit is known to the shim; waits until it is in the record, too. */
static struct error *wait_for_record(struct container *container)
{
    return lifecycle_settle(container->directories, container->base, RECORD_TIMEOUT, &container->record);
}

/* ---- stop ---- */

struct stop_settings {
    int64_t timeout;
    const char *signal;
};

static const struct option stop_options[] = {
    OPTION(stop_settings, "signal", 's', OPTION_TEXT, signal, "SIGNAL", "instead of the container's own"),
    OPTION(stop_settings, "time", 't', OPTION_NUMBER, timeout, "SECONDS", "wait this long before SIGKILL"),
    OPTION(stop_settings, "timeout", 0, OPTION_NUMBER, timeout, "SECONDS", NULL),
    OPTIONS_END,
};

static const struct stop_settings stop_defaults = {.timeout = NOT_GIVEN};

/* A process that has ended meanwhile has been stopped as well. */
static struct error *kill_if_there(struct container *container, int signal)
{
    struct error *error = task_kill(container->task, NULL, (uint32_t)signal, false);

    if (error_code(error) != ERROR_NOT_FOUND && error_code(error) != ERROR_FAILED_PRECONDITION)
        return error;
    error_free(error);
    return NULL;
}

static struct error *stop_running(struct container *container, int signal, int64_t timeout)
{
    struct wait wait = {0};

    if (container_state(container)[0] == 'p')
        TRY(task_resume(container->task));
    task_wait_begin(container->task, NULL, on_exit_reported, &wait);
    struct error *error = kill_if_there(container, signal);
    if (!error)
        wait_at_most(container, &wait, timeout);
    if (!error && !wait.done) {
        error = kill_if_there(container, SIGKILL);
        if (!error)
            wait_at_most(container, &wait, -1);
    }
    task_free(TAKE_PTR(container->task)); /* the wait, too, then has its answer */
    error_free(wait.error);
    return error;
}

static struct error *stop_one(struct container *container, const void *context)
{
    const struct stop_settings *settings = context;
    const struct record *record = container->record;
    int64_t timeout = settings->timeout == NOT_GIVEN ? record->stop_timeout : settings->timeout;
    int signal;

    TRY(signal_parse(settings->signal ?: record->stop_signal ?: "TERM", &signal));
    if (record->status != CONTAINER_EXITED) {
        TRY(container_connect(container));
        TRY(stop_running(container, signal, timeout));
        TRY(wait_for_record(container));
    }
    print_name(container);
    return NULL;
}

static struct error *stop(void *settings, char **arguments, int *ret_code)
{
    return for_each_container(arguments, stop_one, settings, ret_code);
}

const struct verb verb_stop = {
    .name = "stop",
    .arguments = "CONTAINER...",
    .summary = "Stop containers: by their stop signal, then by SIGKILL",
    .example = "caisson stop -t 3 web",
    .options = stop_options,
    .settings_size = sizeof(struct stop_settings),
    .defaults = &stop_defaults,
    .minimum = 1,
    .maximum = UINT32_MAX,
    .run = stop,
};

/* ---- kill ---- */

struct kill_settings {
    const char *signal;
};

static const struct option kill_options[] = {
    OPTION(kill_settings, "signal", 's', OPTION_TEXT, signal, "SIGNAL", "name or number (KILL)"),
    OPTIONS_END,
};

static const struct kill_settings kill_defaults = {.signal = "KILL"};

static struct error *kill_one(struct container *container, const void *context)
{
    const struct kill_settings *settings = context;
    int signal;

    TRY(signal_parse(settings->signal, &signal));
    TRY(container_connect(container));
    TRY(task_kill(container->task, NULL, (uint32_t)signal, false));
    print_name(container);
    return NULL;
}

static struct error *kill_containers(void *settings, char **arguments, int *ret_code)
{
    return for_each_container(arguments, kill_one, settings, ret_code);
}

const struct verb verb_kill = {
    .name = "kill",
    .arguments = "CONTAINER...",
    .summary = "Send a signal to containers",
    .example = "caisson kill -s HUP web",
    .options = kill_options,
    .settings_size = sizeof(struct kill_settings),
    .defaults = &kill_defaults,
    .minimum = 1,
    .maximum = UINT32_MAX,
    .run = kill_containers,
};

/* ---- wait ---- */

static const struct option wait_options[] = {OPTIONS_END};

static struct error *wait_one(struct container *container, const void *context)
{
    struct wait wait = {0};

    if (container->record->status != CONTAINER_EXITED) {
        TRY(container_connect(container));
        task_wait_begin(container->task, NULL, on_exit_reported, &wait);
        wait_at_most(container, &wait, -1);
        error_free(wait.error); /* the shim went away: then the record says what is known */
        task_free(TAKE_PTR(container->task));
        TRY(wait_for_record(container));
    }
    printf("%ld\n", container->record ? (long)container->record->exit_code : (long)wait.exit.status);
    fflush(stdout);
    return NULL;
}

static struct error *wait_for_containers(void *settings, char **arguments, int *ret_code)
{
    return for_each_container(arguments, wait_one, settings, ret_code);
}

const struct verb verb_wait = {
    .name = "wait",
    .arguments = "CONTAINER...",
    .summary = "Wait until containers end and print their exit codes",
    .example = "caisson wait job",
    .options = wait_options,
    .minimum = 1,
    .maximum = UINT32_MAX,
    .run = wait_for_containers,
};
