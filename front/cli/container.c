/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/container.h"

#include "base/strv.h"
#include "cli/verb.h"

struct error *workplace_open(struct workplace *ret_workplace)
{
    struct workplace workplace;

    TRY(directories_open(&workplace.directories));
    workplace.base = event_base_new();
    if (!workplace.base)
        abort(); /* only for want of memory */
    *ret_workplace = workplace;
    return NULL;
}

void workplace_close(struct workplace *workplace)
{
    directories_free(workplace->directories);
    if (workplace->base)
        event_base_free(workplace->base);
}

struct error *container_open(
    const struct workplace *workplace, const char *name, struct container *ret_container)
{
    _cleanup_container_ struct container container = {
        .directories = workplace->directories, .base = workplace->base, .name = name};
    _cleanup_free_ char *id = NULL;

    TRY(record_resolve(container.directories, name, &id));
    TRY(record_load(container.directories, id, &container.record));
    TRY(lifecycle_settle(container.directories, container.base, 0, &container.record));
    if (!container.record)
        return error_new(ERROR_NOT_FOUND, "container %s has just been removed", name);
    *ret_container = container;
    container = (struct container){0};
    return NULL;
}

void container_close(struct container *container)
{
    task_free(container->task);
    record_free(container->record);
}

struct error *container_connect(struct container *container)
{
    const struct record *record = container->record;

    if (container->task)
        return NULL;
    struct error *error = NULL;
    if (record->status != CONTAINER_EXITED)
        error = task_open(container->base, container->directories, record->id, &container->task);
    if (!error && container->task)
        return NULL;
    error_free(error);
    return error_new(ERROR_FAILED_PRECONDITION, "container %s is not running", container->name);
}

const char *container_state(struct container *container)
{
    struct task_state state;

    if (container->record->status != CONTAINER_RUNNING)
        return container_status_name(container->record->status);
    struct error *error = container_connect(container);
    if (!error)
        error = task_read_state(container->task, NULL, &state);
    bool paused = !error && state.status == TASK__STATUS__PAUSED;
    error_free(error);
    return paused ? "paused" : "running";
}

static struct error *do_one(
    const struct workplace *workplace, const char *name, container_action *action, const void *settings)
{
    _cleanup_container_ struct container container = {0};

    TRY(container_open(workplace, name, &container));
    return action(&container, settings);
}

struct error *for_each_container(
    char *const *names, container_action *action, const void *settings, int *ret_code)
{
    _cleanup_workplace_ struct workplace workplace = {0};
    int code = 0;

    TRY(workplace_open(&workplace));
    STRV_FOREACH (name, names) {
        _cleanup_error_ struct error *error = do_one(&workplace, *name, action, settings);
        if (!error)
            continue;
        complain(error);
        code = EXIT_RUNTIME_FAILED;
    }
    *ret_code = code;
    return NULL;
}
