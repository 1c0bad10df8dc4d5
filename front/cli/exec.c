/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/strv.h"
#include "cli/environment.h"
#include "cli/process_failure.h"
#include "cli/spec.h"
#include "cli/verb.h"
#include "client/attach.h"
#include "client/lifecycle.h"
#include "client/publish.h"
#include "client/terminal.h"

#include <signal.h>
#include <stdio.h>

struct exec_settings {
    bool interactive;
    bool terminal;
    bool detach;
    const char *user;
    const char *working_directory;
    const char *detach_keys;
    char **environment;
    char **environment_files;
};

#define EXEC(name, letter, kind, member, value, help) \
    OPTION(exec_settings, name, letter, kind, member, value, help)

static const struct option exec_options[] = {
    EXEC("detach", 'd', OPTION_FLAG, detach, NULL, "leave it running, without its output"),
    EXEC("detach-keys", 0, OPTION_TEXT, detach_keys, "KEYS", "keys that detach (ctrl-p,ctrl-q)"),
    EXEC("env", 'e', OPTION_LIST, environment, "NAME[=VALUE]", "environment variable"),
    EXEC("env-file", 0, OPTION_LIST, environment_files, "FILE", "file of environment variables"),
    EXEC("interactive", 'i', OPTION_FLAG, interactive, NULL, "pass standard input on"),
    {"privileged", 0, OPTION_REFUSED, 0, NULL, "a process has the rights of its container at most"},
    EXEC("tty", 't', OPTION_FLAG, terminal, NULL, "give the process a terminal"),
    EXEC("user", 'u', OPTION_TEXT, user, "USER[:GROUP]", "user of the process, by name or number"),
    EXEC("workdir", 'w', OPTION_TEXT, working_directory, "PATH", "working directory of the process"),
    OPTIONS_END,
};

static const struct exec_settings exec_defaults = {.detach_keys = DETACH_KEYS_DEFAULT};

struct execution {
    const struct exec_settings *settings;
    char **command;
    struct directories *directories;
    struct event_base *base;
    struct signals *signals;
    struct task *task;
    struct fifos *fifos;
    struct attach *attach;
    char *id;
    char *bundle;
    char exec_id[32];
    bool added; /* the shim knows of it */
    int signal;
};

/* ---- the process ---- */

static void set_strings(json_t *process, const char *key, json_t *array)
{
    json_object_set_new(process, key, array);
}

static struct error *change_environment(const struct exec_settings *settings, json_t *process)
{
    _cleanup_strv_ char **environment = NULL;
    json_t *array;

    TRY(json_get_strings(process, "config.json: process", "env", UINT16_MAX, &environment));
    STRV_FOREACH (file, settings->environment_files)
        TRY(environment_read_file(&environment, *file));
    if (settings->terminal)
        environment_default(&environment, "TERM", "xterm");
    STRV_FOREACH (assignment, settings->environment)
        TRY(error_wrap(environment_set(&environment, *assignment), "--env"));
    TRY(spec_strings("the variable", environment, &array));
    set_strings(process, "env", array);
    return NULL;
}

static struct error *change_user(const char *text, json_t *process)
{
    if (!text)
        return NULL;
    json_t *user = json_pack("{s:i, s:i, s:s}", "uid", 0, "gid", 0, "username", text);
    if (!user)
        return error_new(ERROR_INVALID_ARGUMENT, "the user \"%s\" is not UTF-8", text);
    json_object_set_new(process, "user", user);
    return NULL;
}

static struct error *change_directory(const char *text, json_t *process)
{
    if (!text)
        return NULL;
    if (*text != '/' || json_object_set_new(process, "cwd", json_string(text)) < 0)
        return error_new(
            ERROR_INVALID_ARGUMENT, "the working directory \"%s\" is not an absolute path", text);
    return NULL;
}

/* The container's own process with another command: same rights, same environment. */
static struct error *build_process(const struct execution *execution, char **ret_text)
{
    const struct exec_settings *settings = execution->settings;
    _cleanup_json_ json_t *spec = NULL;
    json_t *process = NULL, *arguments;

    TRY(spec_read(execution->bundle, &spec));
    TRY(json_get_object(spec, "config.json", "process", &process));
    if (!process)
        return error_new(ERROR_DATA_LOSS, "the container's config.json has no process");
    TRY(spec_strings("the argument", execution->command, &arguments));
    set_strings(process, "args", arguments);
    json_object_set_new(process, "terminal", json_boolean(settings->terminal));
    TRY(change_environment(settings, process));
    TRY(change_user(settings->user, process));
    TRY(change_directory(settings->working_directory, process));
    *ret_text = spec_write(process);
    return NULL;
}

/* ---- start and end ---- */

static void on_start_signal(void *context, int signal)
{
    struct execution *execution = context;

    if (!signal_ends(signal))
        return;
    execution->signal = signal;
    if (execution->task)
        task_interrupt(execution->task, true);
}

static struct error *not_running(const char *name, struct error *cause)
{
    error_free(cause);
    return error_new(ERROR_FAILED_PRECONDITION, "container %s is not running", name);
}

static struct error *connect_task(struct execution *execution, const char *name)
{
    TRY(directories_open(&execution->directories));
    TRY(record_resolve(execution->directories, name, &execution->id));
    execution->bundle = directories_bundle(execution->directories, execution->id);
    execution->base = event_base_new();
    if (!execution->base)
        return error_new(ERROR_INTERNAL, "cannot make an event loop");
    signals_watch(execution->signals, execution->base, on_start_signal, execution);
    struct error *error = task_open(execution->base, execution->directories, execution->id, &execution->task);
    return error ? not_running(name, error) : NULL;
}

static struct error *open_streams(struct execution *execution, struct task_io *ret_io)
{
    const struct exec_settings *settings = execution->settings;
    _cleanup_free_ char *prefix = must_printf("%s-", execution->exec_id);

    TRY(fifos_open(execution->bundle, prefix, settings->interactive, settings->terminal, &execution->fifos));
    const struct attach_options options = {
        .base = execution->base,
        .task = execution->task,
        .fifos = execution->fifos,
        .signals = execution->signals,
        .exec_id = execution->exec_id,
        .detach_keys = settings->terminal && settings->interactive ? settings->detach_keys : NULL,
    };
    TRY(attach_new(&options, &execution->attach));
    *ret_io = fifos_io(execution->fifos);
    return NULL;
}

static struct error *start(struct execution *execution, const char *name)
{
    _cleanup_free_ char *process = NULL, *random = record_new_id();
    struct task_io io = {"", "", "", execution->settings->terminal};

    TRY(signals_new(&execution->signals));
    TRY(connect_task(execution, name));
    snprintf(execution->exec_id, sizeof(execution->exec_id), "%s%.12s",
        execution->settings->detach ? PUBLISH_DETACHED_EXEC : "exec-", random);
    TRY(build_process(execution, &process));
    if (!execution->settings->detach)
        TRY(open_streams(execution, &io));
    TRY(task_exec(execution->task, execution->exec_id, process, &io));
    execution->added = true;
    TRY(task_start(execution->task, execution->exec_id));
    return execution->attach ? attach_begin(execution->attach) : NULL;
}

static void forget(struct execution *execution)
{
    if (!execution->added)
        return;
    task_interrupt(execution->task, false);
    error_free(task_delete(execution->task, execution->exec_id, NULL));
}

/* An interrupted process may be on its way already. */
static void undo(struct execution *execution)
{
    if (!execution->added)
        return;
    task_interrupt(execution->task, false);
    error_free(task_kill(execution->task, execution->exec_id, SIGKILL, false));
    forget(execution);
}

/* With what the bundle adds; NULL where the container was removed. */
static struct record *read_record(const struct execution *execution)
{
    struct record *record = NULL;

    error_free(record_load(execution->directories, execution->id, &record));
    if (record)
        lifecycle_read_bundle(execution->directories, record);
    return record;
}

static struct error *lost(const struct record *record)
{
    const char *reason = record ? record->reason : NULL;

    return error_new(ERROR_UNAVAILABLE, "the container ended under the process%s%s", reason ? ": " : "",
        reason ? reason : "");
}

/* A machine that is lost takes all its processes with SIGKILL, and leaves word why. */
static void tell_loss(const struct execution *execution)
{
    _cleanup_record_ struct record *record = read_record(execution);

    if (record && !record->reason)
        return;
    _cleanup_error_ struct error *error = lost(record);
    complain(error);
}

static struct error *stay_attached(struct execution *execution, int *ret_code)
{
    struct attach_result result;

    TRY(attach_run(execution->attach, &result));
    if (result.failure) {
        complain(result.failure);
        error_free(result.failure);
    }
    if (result.end == ATTACH_LOST) {
        _cleanup_record_ struct record *record = read_record(execution);
        return lost(record);
    }
    if (result.end == ATTACH_DETACHED) {
        *ret_code = 0;
        return attach_leave_log_keeper(execution->fifos, "/dev/null");
    }
    *ret_code = (int)result.exit.status;
    if (*ret_code == EXIT_SIGNALLED + SIGKILL)
        tell_loss(execution);
    forget(execution);
    return NULL;
}

static void execution_free(struct execution *execution)
{
    attach_free(execution->attach);
    task_free(execution->task);
    fifos_free(execution->fifos);
    signals_free(execution->signals);
    if (execution->base)
        event_base_free(execution->base);
    directories_free(execution->directories);
    free(execution->id);
    free(execution->bundle);
}

static struct error *exec_in_container(void *settings, char **arguments, int *ret_code)
{
    struct execution execution = {.settings = settings, .command = arguments + 1};

    struct error *error = start(&execution, arguments[0]);
    if (error) {
        undo(&execution);
        *ret_code = execution.signal ? EXIT_SIGNALLED + execution.signal : process_failure_code(error);
        if (!execution.signal)
            complain(error);
        error_free(error);
        error = NULL;
    } else if (execution.attach)
        error = stay_attached(&execution, ret_code);
    else
        *ret_code = 0;
    execution_free(&execution);
    return error;
}

const struct verb verb_exec = {
    .name = "exec",
    .arguments = "CONTAINER COMMAND [ARGUMENT...]",
    .summary = "Run a command in a running container",
    .example = "caisson exec -it web sh",
    .options = exec_options,
    .settings_size = sizeof(struct exec_settings),
    .defaults = &exec_defaults,
    .minimum = 2,
    .maximum = UINT32_MAX,
    .stop_early = true,
    .run = exec_in_container,
};
