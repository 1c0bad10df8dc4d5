/* SPDX-License-Identifier: Apache-2.0 */
#include "client/lifecycle.h"

#include "base/fd.h"
#include "base/path.h"

#include <fcntl.h>
#include <string.h>

/* A shim takes its machine down within 3 s; more means that it is stuck. */
#define CALL_TIMEOUT_MS 5000
#define REASON_LIMIT 4096

#define REASON_ABANDONED "the command that started it went away"
#define REASON_SHIM_GONE "its shim ended unexpectedly"
#define REASON_STATE_GONE "it was running when the machine went down"

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static char *bundle_file(const struct directories *directories, const char *id, const char *name)
{
    _cleanup_free_ char *bundle = directories_bundle(directories, id);
    return must_printf("%s/%s", bundle, name);
}

void lifecycle_read_bundle(const struct directories *directories, struct record *record)
{
    _cleanup_free_ char *oom = bundle_file(directories, record->id, "oom");
    _cleanup_free_ char *reason = bundle_file(directories, record->id, "reason");
    char *text = NULL;

    if (exists(oom))
        record->oom = true;
    if (record->reason || !exists(reason))
        return;
    error_free(file_read(AT_FDCWD, reason, REASON_LIMIT, &text, NULL));
    if (text)
        text[strcspn(text, "\n")] = '\0';
    record->reason = text;
}

static struct error *remove_bundle(const struct directories *directories, const char *id)
{
    _cleanup_free_ char *bundle = directories_bundle(directories, id);
    return tree_remove(bundle);
}

/* ---- ending a shim ---- */

static struct error *shut_down(struct task *task)
{
    task_set_timeout(task, CALL_TIMEOUT_MS);
    struct error *error = task_delete(task, NULL, NULL);
    if (error_code(error) != ERROR_NOT_FOUND && error)
        return error;
    error_free(error);
    return task_shutdown(task, true);
}

/* By way of the shim where there is one that answers, else by its program's own cleaning up. */
static struct error *end_shim(
    const struct directories *directories, const char *id, struct task *task, struct shim_exit *ret_exit)
{
    _cleanup_free_ char *bundle = directories_bundle(directories, id);

    if (task) {
        _cleanup_error_ struct error *error = shut_down(task);
        if (!error)
            return NULL;
    }
    if (!exists(bundle))
        return NULL;
    _cleanup_free_ char *address = bundle_file(directories, id, "address");
    struct error *error = shim_delete(directories, id, ret_exit);
    if (!error || exists(address))
        return error;
    error_free(error); /* there never was a shim, perhaps for the same reason */
    return NULL;
}

/* ---- the end of a container ---- */

struct error *lifecycle_finish(const struct directories *directories, struct record *record,
    struct task *task, const struct task_exit *exit, const char *reason)
{
    struct shim_exit ignored;

    record->status = CONTAINER_EXITED;
    record->exit_code = exit->status;
    record->finished = exit->at > 0 ? exit->at : record_now();
    lifecycle_read_bundle(directories, record);
    if (!record->reason)
        record->reason = must_copy_or_null(reason);
    if (!record->auto_remove)
        TRY(record_save(directories, record));
    TRY(end_shim(directories, record->id, task, &ignored));
    TRY(remove_bundle(directories, record->id));
    return record->auto_remove ? record_remove(directories, record) : NULL;
}

/* Nobody answers for the container any more. */
static struct error *finish_lost(const struct directories *directories, struct record *record)
{
    _cleanup_free_ char *bundle = directories_bundle(directories, record->id);
    struct shim_exit known = {.status = LIFECYCLE_LOST_STATUS};
    const char *reason = exists(bundle) ? REASON_SHIM_GONE : REASON_STATE_GONE;

    TRY(end_shim(directories, record->id, NULL, &known));
    const struct task_exit exit = {.status = known.status, .at = known.at};
    return lifecycle_finish(directories, record, NULL, &exit, reason);
}

/* What the shim says: false where there is none, or where it knows of no such container. */
static bool look(const struct directories *directories, struct event_base *base, const char *id,
    struct task **ret_task, struct task_state *ret_state)
{
    struct error *error = task_open(base, directories, id, ret_task);

    if (!error) {
        task_set_timeout(*ret_task, CALL_TIMEOUT_MS);
        error = task_read_state(*ret_task, NULL, ret_state);
    }
    error_free(error);
    return !error;
}

static bool lives(const struct task_state *state)
{
    return state->status == TASK__STATUS__RUNNING || state->status == TASK__STATUS__PAUSED ||
           state->status == TASK__STATUS__PAUSING;
}

/* With the lock held, so a container that is not running yet has lost the command that was starting it. */
static struct error *settle_unfinished(
    const struct directories *directories, struct event_base *base, struct record *record)
{
    const struct task_exit abandoned = {.status = LIFECYCLE_LOST_STATUS};
    _cleanup_task_ struct task *task = NULL;
    struct task_state state;

    if (!look(directories, base, record->id, &task, &state)) {
        if (!task)
            return finish_lost(directories, record);
        return lifecycle_finish(directories, record, task, &abandoned, REASON_ABANDONED);
    }
    if (lives(&state))
        return NULL;
    if (state.status == TASK__STATUS__STOPPED)
        return lifecycle_finish(directories, record, task, &state.exit, NULL);
    return lifecycle_finish(directories, record, task, &abandoned, REASON_ABANDONED);
}

/* Somebody recorded the exit and was interrupted before the rest. */
static struct error *settle_finished(
    const struct directories *directories, struct event_base *base, struct record *record)
{
    _cleanup_task_ struct task *task = NULL;
    struct shim_exit ignored;

    error_free(task_open(base, directories, record->id, &task));
    TRY(end_shim(directories, record->id, task, &ignored));
    return remove_bundle(directories, record->id);
}

static bool needs_nothing(
    const struct directories *directories, struct event_base *base, const struct record *record)
{
    _cleanup_free_ char *bundle = directories_bundle(directories, record->id);
    _cleanup_task_ struct task *task = NULL;
    struct task_state state;

    if (record->status == CONTAINER_EXITED)
        return !exists(bundle);
    return look(directories, base, record->id, &task, &state) && lives(&state);
}

/* The record as it is now; NULL where it is gone. */
static struct error *reload(const struct directories *directories, struct record **record)
{
    _cleanup_free_ char *id = must_copy((*record)->id);

    record_free(TAKE_PTR(*record));
    struct error *error = record_load(directories, id, record);
    if (error_code(error) != ERROR_NOT_FOUND)
        return error;
    error_free(error);
    return NULL;
}

static struct error *settle_locked(
    const struct directories *directories, struct event_base *base, struct record **record)
{
    TRY(reload(directories, record));
    if (!*record)
        return NULL;
    if ((*record)->status == CONTAINER_EXITED)
        return settle_finished(directories, base, *record);
    TRY(settle_unfinished(directories, base, *record));
    if ((*record)->status == CONTAINER_EXITED && (*record)->auto_remove)
        record_free(TAKE_PTR(*record));
    return NULL;
}

struct error *lifecycle_settle(
    const struct directories *directories, struct event_base *base, int timeout, struct record **record)
{
    _cleanup_fd_ int lock = -1;

    if (needs_nothing(directories, base, *record)) {
        lifecycle_read_bundle(directories, *record);
        return NULL;
    }
    struct error *error = timeout > 0 ? record_lock(directories, (*record)->id, timeout, &lock)
                                      : record_try_lock(directories, (*record)->id, &lock);
    if (error_code(error) == ERROR_NOT_FOUND) {
        error_free(error);
        record_free(TAKE_PTR(*record));
        return NULL;
    }
    if (error || lock < 0)
        return error;
    return settle_locked(directories, base, record);
}

struct error *lifecycle_remove(
    const struct directories *directories, struct event_base *base, struct record *record)
{
    _cleanup_free_ char *bundle = directories_bundle(directories, record->id);
    _cleanup_task_ struct task *task = NULL;
    struct shim_exit ignored;

    if (exists(bundle)) {
        error_free(task_open(base, directories, record->id, &task));
        TRY(end_shim(directories, record->id, task, &ignored));
        TRY(remove_bundle(directories, record->id));
    }
    return record_remove(directories, record);
}
