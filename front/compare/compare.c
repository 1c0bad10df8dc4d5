/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/compare.h"

#include "base/fd.h"
#include "base/path.h"
#include "compare/app.h"
#include "compare/leftovers.h"
#include "compare/machine.h"
#include "compare/tools.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char *now_text(void)
{
    char text[32];
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return must_copy(text);
}

static struct error *measure_all(
    const struct compare_options *options, const struct workplace *workplace, struct results *results)
{
    struct subject *subjects[SUBJECTS_MAX];
    struct session session = {.options = &options->session,
        .results = results,
        .subjects = subjects,
        .launcher = workplace->launcher,
        .progress = options->progress,
        .context = options->context,
        .begun = workplace->begun};
    if (options->progress)
        options->progress(options->context, "", "looking for runtimes", 0);
    session.count = subjects_find(workplace, options->runtimes, results, subjects, ARRAY_SIZE(subjects));
    struct error *error = NULL;
    if (session.count > 0)
        session_run(&session);
    else if (launcher_interrupted(workplace->launcher))
        error = error_new(ERROR_CANCELLED, "interrupted");
    else
        error = error_new(ERROR_FAILED_PRECONDITION, "none of the runtimes can run here: %s",
            results->count > 0 ? results->subjects[0]->unusable : "there is none");
    for (size_t i = 0; i < session.count; i++)
        subject_free(subjects[i]);
    return error;
}

static struct error *equip_tools(
    const struct compare_options *options, const struct workplace *workplace, struct toolbox *toolbox)
{
    const bool *asked = options->session.groups;
    const bool wanted[TOOL_COUNT] = {[TOOL_SYSBENCH] = asked[GROUP_CPU],
        [TOOL_FIO] = asked[GROUP_FILES],
        [TOOL_WRK] = asked[GROUP_NETWORK]};
    return toolbox_fill(workplace->launcher, workplace->rootfs, wanted, toolbox);
}

static struct error *equip_app(
    const struct compare_options *options, const struct workplace *workplace, struct app *app)
{
    if (options->progress)
        options->progress(options->context, "", "loading the application", 0);
    TRY(app_open(workplace, options->app, app));
    struct error *error = workplace->containerd ? containerd_import_app(workplace, options->app) : NULL;
    if (error)
        app->unimported = must_copy(error_message(error));
    error_free(error);
    return NULL;
}

/* What the containers need besides the probe. */
static struct error *equip(const struct compare_options *options, struct workplace *workplace,
    struct app *app, struct toolbox *toolbox, struct results *results)
{
    TRY(equip_tools(options, workplace, toolbox));
    workplace->toolbox = toolbox;
    json_object_set_new(results->machine, "tools", toolbox_describe(toolbox));
    if (workplace->containerd) {
        TRY(containerd_version(workplace, &results->via));
        TRY(containerd_enter(workplace));
    }
    if (!options->app)
        return NULL;
    TRY(equip_app(options, workplace, app));
    workplace->app = app;
    return NULL;
}

static struct error *compare_in(const struct compare_options *options, struct launcher *launcher,
    const char *directory, double begun, struct results *results)
{
    _cleanup_free_ char *rootfs = must_printf("%s/rootfs", directory);
    _cleanup_free_ char *volume = must_printf("%s/volume", directory);
    _cleanup_free_ char *namespace = owner_namespace(owner_self());
    struct app app = {0};
    struct toolbox toolbox = {0};
    struct workplace workplace = {.directory = directory,
        .rootfs = rootfs,
        .volume = volume,
        .probe = options->probe,
        .caisson = options->caisson,
        .containerd = options->containerd,
        .namespace = namespace,
        .seccomp = options->seccomp,
        .capabilities = options->capabilities,
        .launcher = launcher,
        .begun = begun};
    TRY(rootfs_make(rootfs, options->probe));
    if (mkdir(volume, 0755) < 0)
        return error_errno(errno, "making %s", volume);
    struct error *error = equip(options, &workplace, &app, &toolbox, results);
    if (!error)
        error = measure_all(options, &workplace, results);
    app_close(&app);
    toolbox_clear(&toolbox);
    if (results->via) /* containerd answered */
        containerd_leave(&workplace);
    return error;
}

/* A report without anything in it is still better than a directory that is left behind. */
static struct error *forgive_interruption(struct error *error, struct results *results)
{
    if (error_code(error) != ERROR_CANCELLED)
        return error;
    results->interrupted = true;
    error_free(error);
    return NULL;
}

static void note_conditions(struct results *results, struct steal before)
{
    struct steal after = machine_steal();
    json_object_set_new(results->machine, "steal", json_real(steal_share(before, after)));
    json_object_set_new(results->machine, "load_after", json_real(machine_load()));
}

const char *compare_place(void)
{
    const char *place = getenv("TMPDIR");
    return place && *place ? place : "/var/tmp";
}

struct error *compare(const struct compare_options *options, struct results **ret_results)
{
    double begun = milliseconds_now();
    _cleanup_results_ struct results *results = results_new();
    _cleanup_free_ char *directory = owner_directory(owner_self(), compare_place());
    struct launcher launcher = {.signals = -1};
    _cleanup_fd_ int lock = -1;
    TRY(launcher_open(&launcher)); /* first: from here on a signal leaves nothing behind */
    struct error *error = NULL;
    leftovers_sweep(&launcher, compare_place(), options->containerd);
    results->started = now_text();
    results->machine = machine_describe();
    results->file_bytes = (int64_t)options->session.file_bytes;
    struct steal before = machine_steal();
    if (!mkdtemp(directory))
        error = error_errno(errno, "making a directory %s; set TMPDIR to a place with 300 MB", directory);
    else if (!(error = leftovers_claim(directory, &lock)))
        error = compare_in(options, &launcher, directory, begun, results);
    cgroups_sweep(&launcher, getpid());
    if (access(directory, F_OK) == 0)
        error_free(tree_remove(directory));
    launcher_close(&launcher);
    TRY(forgive_interruption(error, results));
    note_conditions(results, before);
    *ret_results = TAKE_PTR(results);
    return NULL;
}
