/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/shim.h"

#include "base/log.h"
#include "shim/events.h"

#include <signal.h>
#include <string.h>

static void happened(void *context, enum sandbox_event event, const struct process *process)
{
    struct shim *shim = context;
    struct process_status status = process_status(process);
    events_publish(shim->publisher, event, &status);
}

static void machine_is_gone(void *context)
{
    struct shim *shim = context;
    if (shim->pod)
        pod_has_ended(shim->pod);
}

static void remarked(void *context, bool wrong, const char *sentence)
{
    log_write(wrong ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "%s", sentence);
}

static const struct sandbox_observer observer = {
    .happened = happened, .stopped = machine_is_gone, .remarked = remarked};

/* ---- the end ---- */

static void end_now(struct shim *shim)
{
    for (size_t i = 0; i < shim->end_call_count; i++)
        ttrpc_reply_empty(shim->end_calls[i]);
    shim->end_call_count = 0;
    event_base_loopexit(shim->base, NULL);
}

static void loggers_are_late(evutil_socket_t fd, short what, void *context)
{
    end_now(context);
}

static void loggers_have_ended(void *context)
{
    end_now(context);
}

static void flushed(void *context)
{
    static const struct timeval patience = {.tv_usec = SHIM_LOGGERS_MILLISECONDS * 1000};
    struct shim *shim = context;
    evtimer_add(shim->end_late, &patience);
    loggers_await_end(shim->loggers, NULL, loggers_have_ended, shim);
}

static void sandbox_is_down(void *context, struct error *error)
{
    struct shim *shim = context;
    error_free(error);
    if (shim->pod)
        pod_has_stopped(shim->pod);
    publisher_flush(shim->publisher, SHIM_FLUSH_MILLISECONDS, flushed, shim);
}

void shim_end(struct shim *shim, struct ttrpc_call *call)
{
    if (call && shim->end_call_count == SHIM_END_CALLS_MAX)
        ttrpc_fail(call, error_new(ERROR_UNAVAILABLE, "the shim is ending"));
    else if (call)
        shim->end_calls[shim->end_call_count++] = call;
    if (shim->ending)
        return;
    shim->ending = true;
    sandbox_shutdown(shim->sandbox, sandbox_is_down, shim);
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
    log_info("ending on signal %d", (int)number);
    shim_end(context, NULL);
}

static void await_idleness(struct shim *shim)
{
    static const struct timeval delay = {.tv_sec = SHIM_IDLE_SECONDS};
    evtimer_add(shim->idle, &delay);
}

static void on_idle(evutil_socket_t fd, short what, void *context)
{
    struct shim *shim = context;
    if (!sandbox_is_wanted(shim->sandbox) && ttrpc_server_connection_count(shim->server) == 0)
        shim_end(shim, NULL);
    else
        await_idleness(shim);
}

/* ---- the beginning ---- */

static bool is_own(const struct shim_config *config)
{
    return strcmp(config->options->namespace, SHIM_OWN_NAMESPACE) == 0;
}

static struct sandbox_options sandbox_options(const struct shim_config *config, struct loggers *loggers)
{
    bool own = is_own(config);
    return (struct sandbox_options){.id = config->options->id,
        .directory = config->places->sandbox,
        .scratch_directory = config->places->data,
        .templates = config->places->templates,
        .kernel = config->places->kernel,
        .initrd = config->places->initrd,
        .choose = config->choose,
        .stdio_style = own ? STDIO_LIKE_PIPES : STDIO_KEEP_OPEN,
        .standalone = own,
        .loggers = loggers,
        .apart = config->apart,
        .debug = config->options->debug};
}

static void watch_events(struct shim *shim)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        shim->signals[i] = evsignal_new(shim->base, numbers[i], on_signal, shim);
        if (!shim->signals[i] || event_add(shim->signals[i], NULL) < 0)
            abort(); /* libevent's only reason is a lack of memory */
    }
    shim->idle = evtimer_new(shim->base, on_idle, shim);
    shim->end_late = evtimer_new(shim->base, loggers_are_late, shim);
    if (!shim->idle || !shim->end_late)
        abort();
    await_idleness(shim);
}

struct error *shim_new(
    struct event_base *base, const struct shim_config *config, int listener, struct shim **ret_shim)
{
    static const struct ttrpc_service *const services[] = {&shim_task_v2, &shim_task_v3, &shim_sandbox};
    struct shim *shim = must_new(struct shim);
    struct publisher_options events = {.namespace = config->options->namespace,
        .ttrpc_address = config->ttrpc_address,
        .publish_binary = config->publish_binary,
        .binary_address = config->options->address};
    shim->base = base;
    shim->metrics = config->metrics;
    shim->loggers = loggers_new(base, config->options->namespace);
    struct sandbox_options options = sandbox_options(config, shim->loggers);
    shim->publisher = publisher_new(base, &events);
    shim->sandbox = sandbox_new(base, &options, &observer, shim);
    shim->server = ttrpc_server_new(base, services, ARRAY_SIZE(services), shim);
    watch_events(shim);
    struct error *error = ttrpc_server_listen(shim->server, listener);
    if (error) {
        shim_free(shim);
        return error;
    }
    *ret_shim = shim;
    return NULL;
}

void shim_free(struct shim *shim)
{
    if (!shim)
        return;
    sandbox_free(shim->sandbox);
    loggers_free(shim->loggers);
    pod_free(shim->pod);
    publisher_free(shim->publisher);
    ttrpc_server_free(shim->server);
    for (size_t i = 0; i < ARRAY_SIZE(shim->signals); i++)
        event_free(shim->signals[i]);
    event_free(shim->idle);
    event_free(shim->end_late);
    free(shim);
}
