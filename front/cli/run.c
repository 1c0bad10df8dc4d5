/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caisson run: image, bundle, shim, task; then joined to it, or left to itself. Whatever fails, or is
 * interrupted, on the way to a running process is undone. Signals are blocked from the first step on and read
 * by the event loop, so that Ctrl-C always finds an orderly way back.
 */
#include "cli/run.h"

#include "cli/process_failure.h"
#include "cli/verb.h"
#include "client/lifecycle.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* ---- the start ---- */

static struct error *interrupted(const struct run *run)
{
    return error_new(ERROR_CANCELLED, "interrupted by signal %d", run->signal);
}

/* Between steps, and while a call to the shim is under way. */
static struct error *check_signals(struct run *run)
{
    if (!run->signal)
        run->signal = signals_pending_end();
    return run->signal ? interrupted(run) : NULL;
}

static void on_start_signal(void *context, int signal)
{
    struct run *run = context;

    if (!signal_ends(signal))
        return;
    run->signal = signal;
    if (run->task)
        task_interrupt(run->task, true);
}

static struct error *check_terminal(const struct run_settings *settings)
{
    if (settings->terminal && settings->interactive && !settings->detach && !isatty(STDIN_FILENO))
        return error_new(ERROR_INVALID_ARGUMENT, "-it needs a terminal on standard input; leave out -t");
    return NULL;
}

static struct error *open_everything(struct run *run)
{
    TRY(signals_new(&run->signals));
    TRY(check_terminal(run->settings));
    TRY(directories_open(&run->directories));
    run->base = event_base_new();
    if (!run->base)
        return error_new(ERROR_INTERNAL, "cannot make an event loop");
    signals_watch(run->signals, run->base, on_start_signal, run);
    /* What another container left is no reason not to start this one. */
    error_free(lifecycle_sweep(run->directories, run->base));
    timings_mark(&run->timings, "ready");
    return NULL;
}

static struct error *start_shim(struct run *run)
{
    _cleanup_free_ char *address = NULL;

    TRY(check_signals(run));
    TRY(shim_start(run->directories, run->record->id, &address));
    TRY(task_connect(run->base, run->record->id, address, &run->task));
    timings_mark(&run->timings, "shim started");
    return check_signals(run);
}

/* A detached process writes to its log, and reads nothing. */
static struct error *create_detached(struct run *run, const struct task_rootfs *rootfs)
{
    _cleanup_free_ char *log = directories_record_file(run->directories, run->record->id, "log");
    _cleanup_free_ char *address = must_printf("file://%s", log);
    _cleanup_fd_ int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool terminal = run->settings->terminal;
    const struct task_io io = {
        .input = "", .output = address, .errors = terminal ? "" : address, .terminal = terminal};

    if (fd < 0)
        return error_errno(errno, "cannot create %s", log);
    return task_create(run->task, run->bundle, rootfs, &io);
}

static struct error *create_attached(struct run *run, const struct task_rootfs *rootfs)
{
    const struct run_settings *settings = run->settings;

    TRY(fifos_open(run->bundle, "", settings->interactive, settings->terminal, &run->fifos));
    const struct attach_options options = {
        .base = run->base,
        .task = run->task,
        .fifos = run->fifos,
        .signals = run->signals,
        .detach_keys = settings->terminal && settings->interactive ? settings->detach_keys : NULL,
    };
    TRY(attach_new(&options, &run->attach));
    const struct task_io io = fifos_io(run->fifos);
    return task_create(run->task, run->bundle, rootfs, &io);
}

static struct error *record_running(struct run *run)
{
    run->record->status = CONTAINER_RUNNING;
    run->record->started = record_now();
    return record_save(run->directories, run->record);
}

static struct error *create_and_start(struct run *run)
{
    const struct task_rootfs rootfs = {run->image->rootfs_type, run->image->rootfs_path};

    TRY(run->settings->detach ? create_detached(run, &rootfs) : create_attached(run, &rootfs));
    timings_mark(&run->timings, "created");
    TRY(task_start(run->task, NULL));
    timings_mark(&run->timings, "started");
    return NULL;
}

/* A file system that cannot be mounted or read may be a damaged image: that would be the better sentence. */
static struct error *explain(struct run *run, struct error *error)
{
    if (!error || run->signal || process_failure_code(error) == EXIT_NOT_FOUND)
        return error;
    struct error *damage = image_verify(run->store, run->image, NULL);
    if (error_code(damage) != ERROR_DATA_LOSS) {
        error_free(damage);
        return error;
    }
    error_free(error);
    return damage;
}

static struct error *start_task(struct run *run)
{
    TRY(explain(run, create_and_start(run)));
    return record_running(run);
}

static struct error *start(struct run *run)
{
    TRY(open_everything(run));
    TRY(check_signals(run));
    TRY(run_find_image(run));
    timings_mark(&run->timings, "image found");
    TRY(check_signals(run));
    TRY(run_make_bundle(run));
    timings_mark(&run->timings, "bundle made");
    TRY(start_shim(run));
    return start_task(run);
}

/* Nothing of a container that did not come to run is kept. */
static void undo(struct run *run)
{
    if (!run->reserved)
        return;
    task_free(TAKE_PTR(run->task));
    fifos_free(TAKE_PTR(run->fifos));
    _cleanup_error_ struct error *error = lifecycle_remove(run->directories, run->base, run->record);
    if (error)
        complain(error);
}

/* ---- with the container ---- */

static struct error *drop_lock(struct run *run)
{
    close_fd(TAKE_FD(run->lock));
    /* An exit until now found the lock held and was left to us. */
    return lifecycle_settle(run->directories, run->base, 0, &run->record);
}

static struct error *leave_detached(struct run *run, int *ret_code)
{
    printf("%s\n", run->record->id);
    *ret_code = 0;
    return drop_lock(run);
}

static struct error *leave_by_keys(struct run *run, int *ret_code)
{
    _cleanup_free_ char *log = directories_record_file(run->directories, run->record->id, "log");

    TRY(attach_leave_log_keeper(run->fifos, log));
    run->record->detached = true;
    TRY(record_save(run->directories, run->record));
    *ret_code = 0;
    return drop_lock(run);
}

/* The sentence that the user gets when more happened than an exit. */
static void tell_reason(const struct run *run)
{
    const struct record *record = run->record;
    if (!record->reason)
        return;
    _cleanup_error_ struct error *error = error_new(ERROR_ABORTED, "%s", record->reason);
    complain(error);
}

static struct error *finish(struct run *run, const struct task_exit *exit, int *ret_code)
{
    timings_mark(&run->timings, "exited");
    if (run->settings->timings)
        timings_read_bundle(&run->timings, run->bundle);
    TRY(lifecycle_finish(run->directories, run->record, run->task, exit, NULL));
    timings_mark(&run->timings, "cleaned up");
    tell_reason(run);
    *ret_code = (int)exit->status;
    return NULL;
}

static struct error *finish_lost(struct run *run)
{
    const struct task_exit exit = {.status = EXIT_RUNTIME_FAILED};

    TRY(lifecycle_finish(run->directories, run->record, NULL, &exit, "its shim ended unexpectedly"));
    return error_new(ERROR_UNAVAILABLE, "the container was lost: its shim ended unexpectedly");
}

static struct error *stay_attached(struct run *run, int *ret_code)
{
    struct attach_result result;

    TRY(attach_run(run->attach, &result));
    if (result.failure) {
        complain(result.failure);
        error_free(result.failure);
    }
    switch (result.end) {
    case ATTACH_EXITED:
        return finish(run, &result.exit, ret_code);
    case ATTACH_DETACHED:
        return leave_by_keys(run, ret_code);
    case ATTACH_LOST:
        return finish_lost(run);
    }
    return NULL;
}

/* ---- the verb ---- */

static void run_free(struct run *run)
{
    attach_free(run->attach);
    task_free(run->task);
    fifos_free(run->fifos);
    signals_free(run->signals);
    image_free(run->image);
    image_store_free(run->store);
    record_free(run->record);
    if (run->base)
        event_base_free(run->base);
    close_fd(run->lock);
    directories_free(run->directories);
    free(run->bundle);
}

/* Returns whether the container runs; if not, what there was to say has been said. */
static bool start_or_undo(struct run *run, int *ret_code)
{
    _cleanup_error_ struct error *error = start(run);

    if (!error && run->attach)
        error = attach_begin(run->attach);
    if (!error)
        return true;
    if (!run->signal && error_code(error) == ERROR_CANCELLED)
        run->signal = signals_pending_end();
    undo(run);
    *ret_code = run->signal ? EXIT_SIGNALLED + run->signal : process_failure_code(error);
    if (!run->signal)
        complain(error);
    return false;
}

static struct error *run_container(void *settings, char **arguments, int *ret_code)
{
    struct run run = {
        .settings = settings, .image_name = arguments[0], .arguments = arguments + 1, .lock = -1};
    struct error *error = NULL;

    timings_mark(&run.timings, "begun");
    if (start_or_undo(&run, ret_code))
        error = run.attach ? stay_attached(&run, ret_code) : leave_detached(&run, ret_code);
    if (!error && run.settings->timings)
        timings_print(&run.timings);
    run_free(&run);
    return error;
}

const struct verb verb_run = {
    .name = "run",
    .arguments = "IMAGE [COMMAND [ARGUMENT...]]",
    .summary = "Run a command in a new container",
    .details = "IMAGE is the name of a stored image or of one in a registry, or a source:\n"
               "oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], dir:PATH, tar:FILE.",
    .example = "caisson run --rm -it debian bash\n"
               "caisson run -d --name web -p 8080:80 -v ./site:/srv:ro nginx",
    .options = run_options,
    .settings_size = sizeof(struct run_settings),
    .defaults = &run_defaults,
    .minimum = 1,
    .maximum = UINT32_MAX,
    .stop_early = true,
    .run = run_container,
};
