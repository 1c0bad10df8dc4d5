/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/session.h"

#include "base/strv.h"

#include <assert.h>
#include <string.h>

/* ---- for the parts ---- */

static char *new_id(struct subject *subject)
{
    /* Cgroups are named after containers, so no two runtimes may share an id. */
    return must_printf("compare-%d-%s-%u", (int)getpid(), subject->result->name, subject->containers++);
}

struct error *run_inside(
    struct session *session, struct subject *subject, const struct purpose *purpose, char **ret_output)
{
    _cleanup_free_ char *id = new_id(subject);
    _cleanup_strv_ char **arguments = NULL;
    struct launched launched = {0};
    TRY(subject->ops->run(subject, id, purpose, &arguments));
    struct error *error =
        launch_checked(session->launcher, arguments, session->options->limit_milliseconds, &launched);
    if (error)
        subject->ops->end(subject, id);
    else
        *ret_output = TAKE_PTR(launched.output);
    launched_clear(&launched);
    return error;
}

struct error *run_probe(
    struct session *session, struct subject *subject, const struct purpose *purpose, json_t **ret_answer)
{
    _cleanup_free_ char *output = NULL;
    TRY(run_inside(session, subject, purpose, &output));
    return json_read(subject->result->name, output, strlen(output), ret_answer);
}

struct error *keep_probe(struct session *session, struct subject *subject, const struct purpose *purpose,
    struct kept *ret_kept, char **ret_id)
{
    _cleanup_free_ char *id = new_id(subject);
    _cleanup_strv_ char **arguments = NULL;
    TRY(subject->ops->run(subject, id, purpose, &arguments));
    struct error *error =
        keep(session->launcher, arguments, "ready", session->options->limit_milliseconds, ret_kept);
    if (error) {
        subject->ops->end(subject, id);
        return error;
    }
    *ret_id = TAKE_PTR(id);
    return NULL;
}

void end_probe(struct subject *subject, struct kept *kept, const char *id)
{
    subject->ops->end(subject, id);
    kept_end(kept, subject->ops->is_plain);
    descendants_end();
}

void take_answer(
    struct subject *subject, const json_t *answer, enum metric first, enum metric last, bool counts)
{
    for (enum metric metric = first; counts && metric <= last; metric++) {
        const char *key = metrics[metric].probe_key;
        const json_t *value = key ? json_object_get(answer, key) : NULL;
        if (json_is_number(value))
            series_add(&subject->result->series[metric],
                json_number_value(value) * (metrics[metric].scale > 0 ? metrics[metric].scale : 1));
    }
}

void subject_note(struct subject *subject, enum metric first, enum metric last, const char *note)
{
    for (enum metric metric = first; metric <= last; metric++)
        if (!subject->result->series[metric].note)
            subject->result->series[metric].note = must_copy(note);
}

void take_failure(struct subject *subject, struct error *error, enum metric first, enum metric last)
{
    /* Who hangs once would hang in every round, and everybody waits. */
    if (error_code(error) == ERROR_DEADLINE_EXCEEDED && !subject->result->stopped)
        subject->result->stopped =
            must_printf("left out from %s on: %s", metrics[first].title, error_message(error));
    if (error_code(error) != ERROR_CANCELLED)
        for (enum metric metric = first; metric <= last; metric++)
            series_fail(
                &subject->result->series[metric], error_new(error_code(error), "%s", error_message(error)));
    error_free(error);
}

/* ---- passes ---- */

static const struct part {
    enum metric_group group;
    const char *doing;
    void (*measure)(struct session *session, struct subject *subject, bool counts);
    unsigned weight; /* what takes long is done that much less often */
    bool warms;      /* its first pass is for files and caches that are cold, and not counted */
    enum metric first, last;
} parts[] = {
    {GROUP_STARTUP, "starting", measure_startup, 1, true, METRIC_RUN, METRIC_DELETE},
    {GROUP_SYSCALLS, "system calls, processor", measure_work, 2, false, METRIC_GETPPID, METRIC_COPY},
    {GROUP_MEMORY, "idling", measure_idle, 2, false, METRIC_IDLE_MEMORY, METRIC_IDLE_CPU},
    {GROUP_FILES, "files", measure_files, 2, false, METRIC_ROOT_WRITE, METRIC_VOLUME_RANDOM_WRITE},
    {GROUP_NETWORK, "network", measure_network, 2, false, METRIC_HTTP_LATENCY, METRIC_HTTP_LOAD},
    {GROUP_NETWORK, "application", measure_application, 3, true, METRIC_APP_READY, METRIC_APP_LOAD},
    {GROUP_CPU, "sysbench", measure_sysbench, 3, false, METRIC_SYSBENCH, METRIC_SYSBENCH},
    {GROUP_FILES, "fio", measure_fio, 3, false, METRIC_FIO_ROOT_WRITE, METRIC_FIO_VOLUME_RANDOM_WRITE},
};

static_assert(ARRAY_SIZE(parts) == SESSION_PARTS, "each part has its progress");

static double elapsed(const struct session *session)
{
    return milliseconds_now() - session->begun;
}

static bool is_over(const struct session *session)
{
    double budget = session->options->budget_milliseconds;
    return launcher_interrupted(session->launcher) || (budget > 0 && elapsed(session) >= budget);
}

static bool is_wanted(const struct session *session, const struct part *part)
{
    const bool *asked = session->options->groups;
    if (part->measure == measure_application && !session->subjects[0]->workplace->app)
        return false;
    return asked[part->group] || (part->measure == measure_work && asked[GROUP_CPU]);
}

/* How many passes a part gets where time is no matter. */
static unsigned passes_wanted(const struct session *session, const struct part *part)
{
    if (!is_wanted(session, part))
        return 0;
    return (session->options->rounds + part->weight - 1) / part->weight + (part->warms ? 1 : 0);
}

static unsigned count_steps(const struct session *session)
{
    unsigned steps = session->options->evidence ? 1 : 0;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        steps += passes_wanted(session, &parts[i]);
    steps += session->options->density;
    return steps * (unsigned)session->count;
}

/* By steps or by time, whichever is nearer to its end. */
static double share_done(const struct session *session)
{
    double budget = session->options->budget_milliseconds;
    double by_steps = session->steps ? (double)session->steps_done / session->steps : 1;
    double by_time = budget > 0 ? elapsed(session) / budget : 0;
    double share = by_time > by_steps ? by_time : by_steps;
    return share < 1 ? share : 1;
}

static void tell(struct session *session, const struct subject *subject, const char *doing)
{
    if (session->progress)
        session->progress(session->context, subject->result->name, doing, share_done(session));
    session->steps_done++;
}

static unsigned passes_counted(const struct session *session, size_t part)
{
    unsigned passes = session->parts[part].passes;
    return passes > 0 && parts[part].warms ? passes - 1 : passes;
}

/* As long as its last pass; where it had none, as long as the dearest one of all. */
static double estimate(const struct session *session, size_t part)
{
    double dearest = 0;
    for (size_t i = 0; i < SESSION_PARTS; i++)
        if (session->parts[i].milliseconds > dearest)
            dearest = session->parts[i].milliseconds;
    return session->parts[part].passes > 0 ? session->parts[part].milliseconds : dearest;
}

/* What is done next: the part that is furthest behind for its weight, of those that fit into the time that is
   left. SESSION_PARTS: none. */
static size_t next_part(const struct session *session)
{
    double budget = session->options->budget_milliseconds;
    size_t best = SESSION_PARTS;
    for (size_t i = 0; i < SESSION_PARTS; i++) {
        if (session->parts[i].passes >= passes_wanted(session, &parts[i]))
            continue;
        if (budget > 0 && elapsed(session) + estimate(session, i) > budget)
            continue;
        if (best == SESSION_PARTS ||
            passes_counted(session, i) * parts[i].weight < passes_counted(session, best) * parts[best].weight)
            best = i;
    }
    return best;
}

static bool is_counted(const struct session *session, size_t part)
{
    return session->parts[part].passes > 0 || !parts[part].warms;
}

/* Every runtime does it once. */
static void do_pass(struct session *session, size_t part)
{
    struct part_progress *progress = &session->parts[part];
    double begun = milliseconds_now();
    for (size_t i = 0; i < session->count; i++) {
        struct subject *subject = session->subjects[(i + progress->passes) % session->count];
        if (subject->result->stopped || is_over(session))
            continue;
        tell(session, subject, parts[part].doing);
        session->launcher->prepare = subject->prepare;
        parts[part].measure(session, subject, is_counted(session, part));
        descendants_end();
    }
    progress->milliseconds = milliseconds_now() - begun;
    progress->passes++;
}

static bool has_nothing(const struct subject *subject, const struct part *part)
{
    for (enum metric metric = part->first; metric <= part->last; metric++)
        if (subject->result->series[metric].count > 0 || subject->result->series[metric].failures > 0)
            return false;
    return true;
}

/* What nobody came to is said where its figures would stand, unless there was another reason. */
static void note_what_is_left_out(struct session *session)
{
    static const char reason[] = "not measured: the time of a quick report was over; --full measures it";
    if (session->options->budget_milliseconds == 0 || session->launcher->interrupted)
        return;
    for (size_t i = 0; i < SESSION_PARTS; i++)
        for (size_t j = 0; is_wanted(session, &parts[i]) && j < session->count; j++) {
            struct subject *subject = session->subjects[j];
            struct series *first = &subject->result->series[parts[i].first];
            if (subject->result->stopped || !has_nothing(subject, &parts[i]))
                continue;
            if (passes_counted(session, i) == 0 || !first->note)
                for (enum metric metric = parts[i].first; metric <= parts[i].last; metric++)
                    free(TAKE_PTR(subject->result->series[metric].note));
            subject_note(subject, parts[i].first, parts[i].last, reason);
        }
}

static void gather_evidence(struct session *session)
{
    for (size_t i = 0; i < session->count && !launcher_interrupted(session->launcher); i++) {
        tell(session, session->subjects[i], "evidence");
        session->launcher->prepare = session->subjects[i]->prepare;
        measure_evidence(session, session->subjects[i]);
    }
}

static void gather_density(struct session *session)
{
    for (size_t i = 0; i < session->count && session->options->density > 0; i++) {
        struct subject *subject = session->subjects[i];
        if (subject->result->stopped || launcher_interrupted(session->launcher))
            continue;
        tell(session, subject, "how many fit");
        session->steps_done += session->options->density - 1;
        session->launcher->prepare = subject->prepare;
        measure_density(session, subject);
    }
}

void session_run(struct session *session)
{
    session->steps = count_steps(session);
    session->steps_done = 0;
    if (session->options->evidence)
        gather_evidence(session);
    for (size_t part; !is_over(session) && (part = next_part(session)) != SESSION_PARTS;)
        do_pass(session, part);
    note_what_is_left_out(session);
    gather_density(session);
    session->results->rounds = session->options->rounds;
    session->results->interrupted = session->launcher->interrupted;
    descendants_end();
}
