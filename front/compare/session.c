/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/session.h"

#include "base/strv.h"

#include <string.h>

/* ---- for the parts ---- */

static char *new_id(struct subject *subject)
{
    /* Cgroups are named after containers, so no two runtimes may share an id. */
    return must_printf("compare-%d-%s-%u", (int)getpid(), subject->result->name, subject->containers++);
}

struct error *run_probe(
    struct session *session, struct subject *subject, const struct purpose *purpose, json_t **ret_answer)
{
    _cleanup_free_ char *id = new_id(subject);
    _cleanup_strv_ char **arguments = NULL;
    struct launched launched = {0};
    TRY(subject->ops->run(subject, id, purpose, &arguments));
    struct error *error = launch_checked(session->launcher, arguments, RUN_LIMIT_MILLISECONDS, &launched);
    if (error)
        subject->ops->end(subject, id);
    else
        error = json_read(subject->result->name, launched.output, strlen(launched.output), ret_answer);
    launched_clear(&launched);
    return error;
}

struct error *keep_probe(struct session *session, struct subject *subject, const struct purpose *purpose,
    struct kept *ret_kept, char **ret_id)
{
    _cleanup_free_ char *id = new_id(subject);
    _cleanup_strv_ char **arguments = NULL;
    TRY(subject->ops->run(subject, id, purpose, &arguments));
    struct error *error = keep(session->launcher, arguments, "ready", RUN_LIMIT_MILLISECONDS, ret_kept);
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
    kept_end(kept);
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

/* ---- rounds ---- */

static const struct {
    enum metric_group group;
    const char *doing;
    void (*measure)(struct session *session, struct subject *subject, bool counts);
    unsigned every; /* done in one of so many rounds: what takes long needs fewer samples */
} parts[] = {
    {GROUP_STARTUP, "starting", measure_startup, 1},
    {GROUP_SYSCALLS, "system calls, processor", measure_work, 3},
    {GROUP_FILES, "files", measure_files, 3},
    {GROUP_NETWORK, "network", measure_network, 3},
    {GROUP_NETWORK, "application", measure_application, 3},
    {GROUP_MEMORY, "idling", measure_idle, 3},
};

static bool is_due(const struct session *session, size_t part, unsigned round)
{
    bool wanted = session->options->groups[parts[part].group];
    if (parts[part].measure == measure_work)
        wanted |= session->options->groups[GROUP_CPU];
    if (parts[part].measure == measure_application)
        wanted &= session->subjects[0]->workplace->app != NULL;
    return wanted && round % parts[part].every == 0;
}

static unsigned count_steps(const struct session *session)
{
    unsigned steps = session->options->evidence ? 1 : 0;
    for (unsigned round = 0; round <= session->options->rounds; round++)
        for (size_t part = 0; part < ARRAY_SIZE(parts); part++)
            steps += is_due(session, part, round);
    steps += session->options->density;
    return steps * (unsigned)session->count;
}

static void tell(struct session *session, const struct subject *subject, const char *doing)
{
    if (session->progress)
        session->progress(session->context, subject->result->name, doing,
            session->steps ? (double)session->steps_done / session->steps : 1);
    session->steps_done++;
}

/* Round 0 warms up. */
static void do_round(struct session *session, unsigned round)
{
    for (size_t part = 0; part < ARRAY_SIZE(parts); part++) {
        for (size_t i = 0; i < session->count; i++) {
            struct subject *subject = session->subjects[(i + round) % session->count];
            if (!is_due(session, part, round) || launcher_interrupted(session->launcher))
                continue;
            if (subject->result->stopped)
                continue;
            tell(session, subject, parts[part].doing);
            parts[part].measure(session, subject, round > 0);
            descendants_end();
        }
    }
}

static void gather_evidence(struct session *session)
{
    for (size_t i = 0; i < session->count && !launcher_interrupted(session->launcher); i++) {
        tell(session, session->subjects[i], "evidence");
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
        measure_density(session, subject);
    }
}

void session_run(struct session *session)
{
    session->steps = count_steps(session);
    session->steps_done = 0;
    if (session->options->evidence)
        gather_evidence(session);
    for (unsigned round = 0; round <= session->options->rounds; round++)
        do_round(session, round);
    gather_density(session);
    session->results->rounds = session->options->rounds;
    session->results->interrupted = session->launcher->interrupted;
    descendants_end();
}
