/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/container_host.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

struct event *sandbox_event_new(struct sandbox *sandbox, event_callback_fn callback, void *context)
{
    struct event *event = evtimer_new(sandbox->base, callback, context);
    if (!event)
        abort(); /* libevent's only reason is a lack of memory */
    return event;
}

struct sandbox *sandbox_new(struct event_base *base, const struct sandbox_options *options,
    const struct sandbox_observer *observer, void *context)
{
    struct sandbox *sandbox = must_new(struct sandbox);
    sandbox->base = base;
    sandbox->options = *options;
    sandbox->observer = observer;
    sandbox->context = context;
    TAILQ_INIT(&sandbox->containers);
    TAILQ_INIT(&sandbox->farewells);
    TAILQ_INIT(&sandbox->creations);
    sandbox->next_creation = sandbox_event_new(sandbox, creation_begin_next, sandbox);
    sandbox_loss_events(sandbox);
    timeline_mark(&sandbox->timeline, "supervisor ready");
    return sandbox;
}

void sandbox_set_state(struct sandbox *sandbox, enum sandbox_state state)
{
    assert(sandbox_may_become(sandbox->state, state));
    sandbox->state = state;
}

void sandbox_tell(struct sandbox *sandbox, enum sandbox_event event, const struct process *process)
{
    sandbox->observer->happened(sandbox->context, event, process);
}

void sandbox_remark(struct sandbox *sandbox, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    _cleanup_free_ char *sentence = must_vprintf(format, arguments);
    va_end(arguments);
    sandbox->observer->remarked(sandbox->context, true, sentence);
}

void sandbox_note(struct sandbox *sandbox, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    _cleanup_free_ char *sentence = must_vprintf(format, arguments);
    va_end(arguments);
    sandbox->observer->remarked(sandbox->context, false, sentence);
}

struct error *sandbox_check_usable(const struct sandbox *sandbox)
{
    if (sandbox->lost_reason)
        return error_new(ERROR_UNAVAILABLE, "%s", sandbox->lost_reason);
    return refusal_error(sandbox_refusal(sandbox->state, SANDBOX_USE));
}

struct error *sandbox_check_creatable(const struct sandbox *sandbox)
{
    if (sandbox->lost_reason)
        return error_new(ERROR_UNAVAILABLE, "%s", sandbox->lost_reason);
    return refusal_error(sandbox_refusal(sandbox->state, SANDBOX_CREATE));
}

struct error *sandbox_connect_stream(void *context, int *ret_fd, uint32_t *ret_port)
{
    struct sandbox *sandbox = context;
    return hv_connect(sandbox->hv, AGENT_STREAM_PORT, ret_fd, ret_port);
}

struct container *sandbox_container(const struct sandbox *sandbox, const char *container_id)
{
    struct container *container;
    TAILQ_FOREACH (container, &sandbox->containers, entry) {
        if (strcmp(container->id, container_id) == 0)
            return container;
    }
    return NULL;
}

static struct process *find_exec(const struct container *container, const char *exec_id)
{
    struct process *process;
    TAILQ_FOREACH (process, &container->processes, entry) {
        if (strcmp(process->exec_id, exec_id) == 0)
            return process;
    }
    return NULL;
}

struct error *sandbox_find(
    struct sandbox *sandbox, const char *container_id, const char *exec_id, struct process **ret_process)
{
    struct container *container = sandbox_container(sandbox, container_id);
    if (!container)
        return error_new(ERROR_NOT_FOUND, "container not created: not found");
    struct process *process = find_exec(container, exec_id ? exec_id : "");
    if (!process)
        return error_new(ERROR_NOT_FOUND, "process does not exist %s: not found", exec_id);
    *ret_process = process;
    return NULL;
}

enum sandbox_state sandbox_state(const struct sandbox *sandbox)
{
    return sandbox->state;
}

bool sandbox_is_wanted(const struct sandbox *sandbox)
{
    return sandbox->held || !TAILQ_EMPTY(&sandbox->containers);
}

bool sandbox_is_for_creation_of(const struct sandbox *sandbox, const char *container_id)
{
    const struct container *only = TAILQ_FIRST(&sandbox->containers);
    return only && only->creation && !sandbox->held && !TAILQ_NEXT(only, entry) &&
           strcmp(only->id, container_id) == 0;
}

pid_t sandbox_process_id(const struct sandbox *sandbox)
{
    return sandbox->hv ? hv_process(sandbox->hv) : 0;
}

void sandbox_free(struct sandbox *sandbox)
{
    if (!sandbox)
        return;
    creation_cancel_all(sandbox, ERROR_CANCELLED, "the supervisor ends");
    sandbox_release_machine(sandbox);
    while (!TAILQ_EMPTY(&sandbox->containers))
        container_free(TAILQ_FIRST(&sandbox->containers));
    sandbox_free_farewells(sandbox);
    sandbox_leave_cgroup(sandbox);
    event_free(sandbox->next_creation);
    event_free(sandbox->lost_soon);
    event_free(sandbox->last_words);
    event_free(sandbox->stop_late);
    event_free(sandbox->shutdown_soon);
    settings_free(sandbox->settings);
    free(sandbox->lost_reason);
    free(sandbox);
}
