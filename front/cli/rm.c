/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"
#include "base/strv.h"
#include "cli/container.h"
#include "cli/verb.h"

#include <signal.h>
#include <stdio.h>

/* How long the command in the foreground of a killed container may take to clean up, in milliseconds. */
#define HOLDER_TIMEOUT 10000

struct rm_settings {
    bool force;
    bool all;
    bool volumes;
};

static const struct option rm_options[] = {
    OPTION(rm_settings, "all", 'a', OPTION_FLAG, all, NULL, "all containers that have ended; with -f all"),
    OPTION(rm_settings, "force", 'f', OPTION_FLAG, force, NULL, "running ones, too: they are killed"),
    OPTION(rm_settings, "volumes", 'v', OPTION_FLAG, volumes, NULL,
        "as always: anonymous volumes go with their container"),
    OPTIONS_END,
};

/* Where a command in the foreground has the container, that one is to see it end and record it. */
static struct error *take_lock(struct container *container, int *ret_lock)
{
    const char *id = container->record->id;

    TRY(record_try_lock(container->directories, id, ret_lock));
    if (*ret_lock >= 0)
        return NULL;
    struct error *error = container_connect(container);
    if (!error)
        error = task_kill(container->task, NULL, SIGKILL, true);
    error_free(error);
    task_free(TAKE_PTR(container->task));
    return record_lock(container->directories, id, HOLDER_TIMEOUT, ret_lock);
}

static struct error *remove_locked(struct container *container)
{
    _cleanup_free_ char *id = must_copy(container->record->id);

    /* With --rm, whoever held the lock has removed it. */
    record_free(TAKE_PTR(container->record));
    struct error *error = record_load(container->directories, id, &container->record);
    if (error_code(error) == ERROR_NOT_FOUND) {
        error_free(error);
        return NULL;
    }
    TRY(error);
    return lifecycle_remove(container->directories, container->base, container->record);
}

/* Its exit may be known to everybody, and its record not yet written. */
static struct error *check_ended(struct container *container)
{
    TRY(lifecycle_settle(container->directories, container->base, HOLDER_TIMEOUT, &container->record));
    if (container->record && container->record->status != CONTAINER_EXITED)
        return error_new(ERROR_FAILED_PRECONDITION,
            "container %s is running; stop it first (caisson stop %s), or kill and remove it with rm -f",
            container->name, container->name);
    return NULL;
}

static struct error *remove_one(struct container *container, const void *context)
{
    const struct rm_settings *settings = context;
    _cleanup_fd_ int lock = -1;

    if (!settings->force)
        TRY(check_ended(container));
    if (!container->record) { /* its own --rm was quicker */
        puts(container->name);
        return NULL;
    }
    struct error *error = take_lock(container, &lock);
    if (error_code(error) == ERROR_NOT_FOUND) { /* gone already */
        error_free(error);
        error = NULL;
    }
    TRY(error);
    TRY(remove_locked(container));
    puts(container->name);
    return NULL;
}

/* ---- all ---- */

/* A directory without a readable record: half made or half removed when its maker was killed. */
static struct error *remove_wreck(const struct directories *directories, const char *id)
{
    _cleanup_free_ char *directory = directories_record(directories, id);
    _cleanup_free_ char *bundle = directories_bundle(directories, id);
    struct shim_exit ignored;
    _cleanup_fd_ int lock = -1;

    struct error *error = record_try_lock(directories, id, &lock);
    if (!error && lock < 0)
        return NULL;
    error_free(error); /* no lock was ever made */
    if (access(bundle, F_OK) == 0)
        TRY(shim_delete(directories, id, &ignored));
    TRY(tree_remove(bundle));
    return tree_remove(directory);
}

static struct error *remove_any(
    const struct workplace *workplace, const char *id, const struct rm_settings *settings)
{
    _cleanup_container_ struct container container = {0};

    struct error *error = container_open(workplace, id, &container);
    if (error_code(error) == ERROR_NOT_FOUND || error_code(error) == ERROR_DATA_LOSS) {
        error_free(error);
        error = remove_wreck(workplace->directories, id);
        if (error_code(error) != ERROR_NOT_FOUND)
            return error;
        error_free(error);
        return NULL;
    }
    TRY(error);
    if (container.record->status != CONTAINER_EXITED && !settings->force)
        return NULL;
    return remove_one(&container, settings);
}

static struct error *remove_all(const struct rm_settings *settings, int *ret_code)
{
    _cleanup_workplace_ struct workplace workplace = {0};
    _cleanup_strv_ char **ids = NULL;

    TRY(workplace_open(&workplace));
    error_free(lifecycle_sweep(workplace.directories, workplace.base));
    TRY(record_list_ids(workplace.directories, &ids));
    *ret_code = 0;
    STRV_FOREACH (id, ids) {
        _cleanup_error_ struct error *error = remove_any(&workplace, *id, settings);
        if (!error)
            continue;
        complain(error);
        *ret_code = EXIT_RUNTIME_FAILED;
    }
    return NULL;
}

static struct error *rm(void *context, char **arguments, int *ret_code)
{
    const struct rm_settings *settings = context;

    if (settings->all && *arguments)
        return error_new(ERROR_INVALID_ARGUMENT, "rm takes --all or containers, not both");
    if (!settings->all && !*arguments)
        return error_new(ERROR_INVALID_ARGUMENT, "which container? caisson rm CONTAINER..., or --all");
    if (settings->all)
        return remove_all(settings, ret_code);
    return for_each_container(arguments, remove_one, settings, ret_code);
}

const struct verb verb_rm = {
    .name = "rm",
    .arguments = "[CONTAINER...]",
    .summary = "Remove containers",
    .details = "What a crash or a power cut left of containers is removed by --all, too.",
    .example = "caisson rm -f web\ncaisson rm --all",
    .options = rm_options,
    .settings_size = sizeof(struct rm_settings),
    .maximum = UINT32_MAX,
    .run = rm,
};
