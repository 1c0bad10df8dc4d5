/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/compare.h"

#include "base/path.h"
#include "compare/app.h"
#include "compare/machine.h"

#include <fts.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void remove_tree(const char *directory)
{
    char *const roots[] = {(char *)(uintptr_t)directory, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    FTSENT *entry;
    while (walk && (entry = fts_read(walk)))
        if (entry->fts_info != FTS_D)
            (void)remove(entry->fts_path);
    if (walk)
        fts_close(walk);
}

static char *now_text(void)
{
    char text[32];
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return must_copy(text);
}

/* What was measured in which place, and what makes it unlike the others. */
static void note_places(const struct subject *subject)
{
    const char *root = subject->ops == &subject_caisson
                           ? "in the guest's memory (the writable layer of its image)"
                       : subject->ops == &subject_oci        ? "in a plain directory of the host"
                       : subject->ops == &subject_containerd ? "in the snapshotter's writable layer"
                                                             : "on the host";
    for (enum metric metric = METRIC_ROOT_WRITE; metric <= METRIC_ROOT_RANDOM_WRITE; metric++)
        subject->result->series[metric].note = must_copy(root);
    if (!subject->ops->create)
        for (enum metric metric = METRIC_CREATE; metric <= METRIC_DELETE; metric++)
            if (metric != METRIC_EXEC || !subject->ops->exec)
                subject->result->series[metric].note = must_copy("has no such step of its own");
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
        .context = options->context};
    if (options->progress)
        options->progress(options->context, "", "looking for runtimes", 0);
    session.count = subjects_find(workplace, options->runtimes, results, subjects, ARRAY_SIZE(subjects));
    for (size_t i = 0; i < session.count; i++)
        note_places(subjects[i]);
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

/* What the containers need that is not the probe's: containerd's image, the application. */
static struct error *equip(const struct compare_options *options, struct workplace *workplace,
    struct app *app, struct results *results)
{
    if (workplace->containerd) {
        TRY(containerd_version(workplace, &results->via));
        TRY(containerd_enter(workplace));
    }
    if (!options->app)
        return NULL;
    if (options->progress)
        options->progress(options->context, "", "loading the application", 0);
    TRY(app_open(workplace, options->app, app));
    workplace->app = app;
    return NULL;
}

static struct error *compare_in(const struct compare_options *options, struct launcher *launcher,
    const char *directory, struct results *results)
{
    _cleanup_free_ char *rootfs = must_printf("%s/rootfs", directory);
    _cleanup_free_ char *volume = must_printf("%s/volume", directory);
    _cleanup_free_ char *namespace = must_printf("caisson-compare-%d", (int)getpid());
    struct app app = {0};
    struct workplace workplace = {.directory = directory,
        .rootfs = rootfs,
        .volume = volume,
        .probe = options->probe,
        .caisson = options->caisson,
        .containerd = options->containerd,
        .namespace = namespace,
        .seccomp = options->seccomp,
        .capabilities = options->capabilities,
        .launcher = launcher};
    TRY(rootfs_make(rootfs, options->probe));
    if (mkdir(volume, 0755) < 0)
        return error_errno(errno, "making %s", volume);
    struct error *error = equip(options, &workplace, &app, results);
    if (!error)
        error = measure_all(options, &workplace, results);
    app_close(&app);
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

struct error *compare(const struct compare_options *options, struct results **ret_results)
{
    _cleanup_results_ struct results *results = results_new();
    _cleanup_free_ char *directory = must_printf("%s/caisson-compare.XXXXXX", getenv("TMPDIR") ?: "/var/tmp");
    struct launcher launcher = {.signals = -1};
    TRY(launcher_open(&launcher)); /* first: from here on a signal leaves nothing behind */
    struct error *error = NULL;
    results->started = now_text();
    results->machine = machine_describe();
    results->file_bytes = (int64_t)options->session.file_bytes;
    struct steal before = machine_steal();
    if (!mkdtemp(directory))
        error = error_errno(errno, "making a directory %s; set TMPDIR to a place with 100 MB", directory);
    else
        error = compare_in(options, &launcher, directory, results);
    cgroups_sweep(&launcher);
    if (*directory && access(directory, F_OK) == 0)
        remove_tree(directory);
    launcher_close(&launcher);
    TRY(forgive_interruption(error, results));
    note_conditions(results, before);
    *ret_results = TAKE_PTR(results);
    return NULL;
}
