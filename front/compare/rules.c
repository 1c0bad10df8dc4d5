/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/rules.h"

#include <string.h>

const struct workload workloads[WORKLOADS] = {
    {"a service that you trust", WALL_SHARED, METRIC_GETPPID, 3,
        "any wall will do; the cheapest system calls win, because a service makes them all day"},
    {"code of your customers", WALL_USER, METRIC_OPEN, 10,
        "a bug in the host's kernel must not be within reach, so a kernel of its own; among those, the "
        "cheapest file "
        "access"},
    {"regulated data", WALL_EMULATED, METRIC_INTEGER, 3,
        "a boundary that an auditor knows: a virtual machine; among those, the fastest processor"},
    {"a job of continuous integration", WALL_SHARED, METRIC_FORK, 5,
        "builds start processes; the cheapest fork wins, with the wall that your sources deserve"},
    {"code that an agent wrote", WALL_USER, METRIC_RUN, 10,
        "nobody has read it, so a kernel of its own; among those, the quickest start, because there are "
        "many"},
    {"a request that waits", WALL_SHARED, METRIC_RUN, 3,
        "the container is started while somebody waits: the quickest start wins"},
};

enum wall subject_wall(const struct subject_result *subject)
{
    if (!strcmp(subject->name, "host"))
        return WALL_NONE;
    if (!subject->own_kernel)
        return WALL_SHARED;
    if (!strncmp(subject->name, "runsc", 5))
        return WALL_USER;
    return subject->hardware ? WALL_HARDWARE : WALL_EMULATED;
}

const char *wall_name(enum wall wall)
{
    static const char *const names[] = {
        [WALL_NONE] = "none",
        [WALL_SHARED] = "the host's kernel, filtered",
        [WALL_USER] = "a kernel in user space",
        [WALL_EMULATED] = "a kernel of its own, emulated machine",
        [WALL_HARDWARE] = "a kernel of its own, virtual machine",
    };
    return names[wall];
}

static bool is_measured(const struct subject_result *subject, enum metric metric)
{
    return !subject->unusable && subject->series[metric].count > 0;
}

static double median(const struct subject_result *subject, enum metric metric)
{
    return series_summary(&subject->series[metric]).median;
}

static bool is_better(enum metric metric, double left, double right)
{
    return metrics[metric].higher_is_better ? left > right : left < right;
}

/* How many times worse than the best. */
static double ratio_to(enum metric metric, double value, double best)
{
    if (value <= 0 || best <= 0)
        return 0;
    return metrics[metric].higher_is_better ? best / value : value / best;
}

static void consider(struct verdict *verdict, const struct subject_result *subject, enum metric metric)
{
    if (!verdict->choice || is_better(metric, median(subject, metric), median(verdict->choice, metric))) {
        verdict->next = verdict->choice;
        verdict->choice = subject;
    } else if (!verdict->next || is_better(metric, median(subject, metric), median(verdict->next, metric))) {
        verdict->next = subject;
    }
}

/* Our own runtime has to win beyond noise: where it does not, the other one comes first. */
static void yield_in_a_tie(struct verdict *verdict, enum metric metric)
{
    if (!verdict->next || strncmp(verdict->choice->name, "caisson", 7) != 0)
        return;
    struct summary first = series_summary(&verdict->choice->series[metric]);
    struct summary second = series_summary(&verdict->next->series[metric]);
    if (summaries_differ(&first, &second))
        return;
    const struct subject_result *own = verdict->choice;
    verdict->choice = verdict->next;
    verdict->next = own;
}

struct verdict workload_verdict(const struct results *results, const struct workload *workload)
{
    struct verdict verdict = {0}, overall = {0};
    for (size_t i = 0; i < results->count; i++) {
        const struct subject_result *subject = results->subjects[i];
        enum wall wall = subject_wall(subject);
        if (wall == WALL_NONE || !is_measured(subject, workload->metric))
            continue;
        consider(&overall, subject, workload->metric);
        _cleanup_free_ char *contradiction = subject_contradiction(results, subject);
        if (wall >= workload->least && !contradiction)
            consider(&verdict, subject, workload->metric);
    }
    yield_in_a_tie(&verdict, workload->metric);
    if (!overall.choice)
        verdict.ratio = -1;
    if (verdict.choice)
        verdict.ratio = ratio_to(workload->metric, median(verdict.choice, workload->metric),
            median(overall.choice, workload->metric));
    return verdict;
}

/* ---- evidence ---- */

static const char *evidence_text(const struct subject_result *subject, const char *key)
{
    return json_string_value(json_object_get(subject->evidence, key));
}

char *subject_contradiction(const struct results *results, const struct subject_result *subject)
{
    const struct subject_result *host = results_find(results, "host");
    if (!host || host == subject || !host->evidence || !subject->evidence)
        return NULL;
    const char *here = evidence_text(host, "kernel_release"),
               *inside = evidence_text(subject, "kernel_release");
    bool same = here && inside && !strcmp(here, inside);
    if (subject->own_kernel && same)
        return must_printf("it should have a kernel of its own, and yet it reports the host's (%s)", here);
    if (!subject->own_kernel && !same)
        return must_printf(
            "it should share the host's kernel, and yet it reports %s", inside ? inside : "nothing");
    return NULL;
}

unsigned calls_count(const struct subject_result *subject, char class)
{
    unsigned count = 0;
    for (const char *c = subject->calls; c && *c; c++)
        count += *c == class;
    return count;
}

/* ---- the answer ---- */

double against_best(const struct results *results, const struct subject_result *subject, enum metric metric)
{
    struct verdict all = {0};
    for (size_t i = 0; i < results->count; i++)
        if (subject_wall(results->subjects[i]) != WALL_NONE && is_measured(results->subjects[i], metric))
            consider(&all, results->subjects[i], metric);
    if (!all.choice || !is_measured(subject, metric))
        return 0;
    return ratio_to(metric, median(subject, metric), median(all.choice, metric));
}

static char *cost(
    const struct results *results, const struct subject_result *subject, enum metric metric, const char *what)
{
    double ratio = against_best(results, subject, metric);
    if (ratio <= 0)
        return must_copy("");
    return ratio < 1.5 ? must_printf("; %s: as good as any", what)
                       : must_printf("; %s: %.*f times the best", what, ratio < 10 ? 1 : 0, ratio);
}

char *subject_answer(const struct results *results, const struct subject_result *subject)
{
    _cleanup_free_ char *start = cost(results, subject, METRIC_RUN, "start");
    _cleanup_free_ char *calls = cost(results, subject, METRIC_GETPPID, "system calls");
    _cleanup_free_ char *files = cost(results, subject, METRIC_WALK, "walking files");
    _cleanup_free_ char *memory = cost(results, subject, METRIC_IDLE_MEMORY, "idle memory");
    if (subject->unusable)
        return must_printf("cannot run here: %s", subject->unusable);
    if (subject_wall(subject) == WALL_NONE)
        return must_copy("the baseline, no runtime: what the machine does without any wall");
    if (subject->stopped)
        return must_printf("wall: %s; %s", wall_name(subject_wall(subject)), subject->stopped);
    return must_printf("wall: %s%s%s%s%s", wall_name(subject_wall(subject)), start, calls, files, memory);
}
