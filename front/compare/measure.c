/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured by running the probe, or by running nothing. */
#include "compare/session.h"

#include "base/strv.h"

#include <string.h>

#define IDLE_MILLISECONDS 1000

/* False when it failed, which is counted. */
static bool run_timed(
    struct session *session, struct subject *subject, char *const *arguments, enum metric metric, bool counts)
{
    struct launched launched = {0};
    struct error *error =
        launch_checked(session->launcher, arguments, session->options->limit_milliseconds, &launched);
    if (error)
        take_failure(subject, error, metric, metric);
    else if (counts)
        series_add(&subject->result->series[metric], launched.milliseconds);
    launched_clear(&launched);
    return !error;
}

/* ---- evidence ---- */

void measure_evidence(struct session *session, struct subject *subject)
{
    char *const evidence[] = {(char[]){"evidence"}, NULL}, *const calls[] = {(char[]){"calls"}, NULL};
    _cleanup_json_ json_t *answer = NULL;
    const char *classes = NULL;
    struct error *error =
        run_probe(session, subject, &(struct purpose){.command = evidence}, &subject->result->evidence);
    error_free(error);
    error = run_probe(session, subject, &(struct purpose){.command = calls}, &answer);
    if (!error)
        error = json_get_string(answer, "the probe's answer", "classes", &classes);
    if (!error)
        subject->result->calls = must_copy_or_null(classes);
    error_free(error);
}

/* ---- start-up ---- */

static void time_run(struct session *session, struct subject *subject, bool counts)
{
    char *const command[] = {(char[]){"true"}, NULL};
    const struct purpose purpose = {.command = command};
    _cleanup_free_ char *id = must_printf("compare-%d-%s-run", (int)getpid(), subject->result->name);
    _cleanup_strv_ char **arguments = NULL;
    struct error *error = subject->ops->run(subject, id, &purpose, &arguments);
    if (error)
        take_failure(subject, error, METRIC_RUN, METRIC_RUN);
    else if (!run_timed(session, subject, arguments, METRIC_RUN, counts))
        subject->ops->end(subject, id);
}

static void time_steps(struct session *session, struct subject *subject, bool counts)
{
    char *const command[] = {(char[]){"hold"}, NULL};
    const struct purpose purpose = {.command = command};
    char *const inside[] = {(char[]){"/probe"}, (char[]){"true"}, NULL};
    _cleanup_free_ char *id = must_printf("compare-%d-%s-steps", (int)getpid(), subject->result->name);
    _cleanup_strv_ char **create = NULL, **start = NULL, **exec = NULL, **remove = NULL;
    struct error *error = subject->ops->create(subject, id, &purpose, &create);
    if (error) {
        take_failure(subject, error, METRIC_CREATE, METRIC_CREATE);
        return;
    }
    start = subject->ops->start(subject, id);
    exec = subject->ops->exec(subject, id, inside);
    remove = subject->ops->remove(subject, id);
    if (!run_timed(session, subject, create, METRIC_CREATE, counts) ||
        !run_timed(session, subject, start, METRIC_START, counts) ||
        !run_timed(session, subject, exec, METRIC_EXEC, counts) ||
        !run_timed(session, subject, remove, METRIC_DELETE, counts))
        subject->ops->end(subject, id);
}

/* Without steps of its own: an exec in a container that was run. */
static void time_exec(struct session *session, struct subject *subject, bool counts)
{
    char *const command[] = {(char[]){"hold"}, NULL};
    char *const inside[] = {(char[]){"/probe"}, (char[]){"true"}, NULL};
    const struct purpose purpose = {.command = command};
    struct kept kept = {0};
    _cleanup_free_ char *id = NULL;
    struct error *error = keep_probe(session, subject, &purpose, &kept, &id);
    if (error) {
        take_failure(subject, error, METRIC_EXEC, METRIC_EXEC);
        return;
    }
    _cleanup_strv_ char **exec = subject->ops->exec(subject, id, inside);
    run_timed(session, subject, exec, METRIC_EXEC, counts);
    end_probe(subject, &kept, id);
}

void measure_startup(struct session *session, struct subject *subject, bool counts)
{
    static const char none[] = "has no such step of its own";
    if (!subject->ops->create) {
        subject_note(subject, METRIC_CREATE, METRIC_START, none);
        subject_note(subject, METRIC_DELETE, METRIC_DELETE, none);
    }
    if (!subject->ops->create && !subject->ops->exec)
        subject_note(subject, METRIC_EXEC, METRIC_EXEC, none);
    time_run(session, subject, counts);
    if (subject->result->stopped)
        return;
    if (subject->ops->create)
        time_steps(session, subject, counts);
    else if (subject->ops->exec)
        time_exec(session, subject, counts);
}

/* ---- work ---- */

static void measure_kinds(struct session *session, struct subject *subject, char **kinds, enum metric first,
    enum metric last, bool counts)
{
    _cleanup_json_ json_t *answer = NULL;
    struct error *error = run_probe(session, subject, &(struct purpose){.command = kinds}, &answer);
    if (error)
        take_failure(subject, error, first, last);
    else
        take_answer(subject, answer, first, last, counts);
}

void measure_work(struct session *session, struct subject *subject, bool counts)
{
    _cleanup_strv_ char **kinds = NULL;
    char *walk[] = {(char[]){"walk"}, (char[]){"/usr"}, NULL};
    strv_append(&kinds, "measure");
    for (enum metric metric = METRIC_GETPPID; metric <= METRIC_COPY; metric++)
        if (metric != METRIC_WALK && session->options->groups[metrics[metric].group])
            strv_append(&kinds, metrics[metric].probe_key);
    measure_kinds(session, subject, kinds, METRIC_GETPPID, METRIC_COPY, counts);
    if (session->options->groups[GROUP_SYSCALLS])
        measure_kinds(session, subject, walk, METRIC_WALK, METRIC_WALK, counts);
}

/* What a root file system lies on, which is not alike. */
const char *root_place(const struct subject *subject)
{
    if (subject->ops == &subject_caisson)
        return "in the guest's memory (the writable layer of its image)";
    if (subject->ops == &subject_oci)
        return "in a plain directory of the host";
    return subject->ops == &subject_containerd ? "in the snapshotter's writable layer" : "on the host";
}

void measure_files(struct session *session, struct subject *subject, bool counts)
{
    _cleanup_free_ char *bytes = must_printf("%llu", (unsigned long long)session->options->file_bytes);
    char *root[] = {(char[]){"files"}, (char[]){"/tmp"}, bytes, NULL};
    char *volume[] = {(char[]){"files"}, (char[]){"/volume"}, bytes, NULL};
    _cleanup_json_ json_t *answer = NULL;
    subject_note(subject, METRIC_ROOT_WRITE, METRIC_ROOT_RANDOM_WRITE, root_place(subject));
    measure_kinds(session, subject, root, METRIC_ROOT_WRITE, METRIC_ROOT_RANDOM_WRITE, counts);
    const struct purpose purpose = {.command = volume, .volume = true};
    struct error *error = run_probe(session, subject, &purpose, &answer);
    if (error)
        take_failure(subject, error, METRIC_VOLUME_WRITE, METRIC_VOLUME_RANDOM_WRITE);
    else
        take_answer(subject, answer, METRIC_VOLUME_WRITE, METRIC_VOLUME_RANDOM_WRITE, counts);
}

/* ---- idling ---- */

void measure_idle(struct session *session, struct subject *subject, bool counts)
{
    char *const command[] = {(char[]){"hold"}, NULL};
    const struct purpose purpose = {.command = command};
    struct kept kept = {0};
    _cleanup_free_ char *id = NULL;
    struct error *error = keep_probe(session, subject, &purpose, &kept, &id);
    if (error) {
        take_failure(subject, error, METRIC_IDLE_MEMORY, METRIC_IDLE_CPU);
        return;
    }
    launcher_wait(session->launcher, IDLE_MILLISECONDS); /* what starting left to do is done by then */
    struct usage before = descendants_usage(subject->mark);
    launcher_wait(session->launcher, IDLE_MILLISECONDS);
    struct usage after = descendants_usage(subject->mark);
    if (counts && !session->launcher->interrupted) {
        series_add(&subject->result->series[METRIC_IDLE_MEMORY], after.pss_mebibytes);
        series_add(&subject->result->series[METRIC_IDLE_CPU],
            (after.cpu_milliseconds - before.cpu_milliseconds) * 1000 / IDLE_MILLISECONDS);
    }
    end_probe(subject, &kept, id);
}
