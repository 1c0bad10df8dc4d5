/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/rules.h"

#include "base/strv.h"

#include <string.h>

const struct workload workloads[WORKLOADS] = {
    {"a service that you trust", WALL_SHARED, METRIC_GETPPID, 3,
        "any wall will do; the cheapest system calls win, because a service makes them all day"},
    {"code of your customers", WALL_USER, METRIC_OPEN, 10,
        "a bug in the host's kernel must not be within reach, so another kernel, behind a wall that its "
        "makers "
        "stand by; among those, the cheapest file access"},
    {"regulated data", WALL_HARDWARE, METRIC_INTEGER, 3,
        "a boundary that an auditor knows: a virtual machine of the processor; among those, the fastest "
        "computation"},
    {"a job of continuous integration", WALL_SHARED, METRIC_FORK, 5,
        "builds start processes; the cheapest fork wins, with the wall that your sources deserve"},
    {"code that an agent wrote", WALL_USER, METRIC_RUN, 10,
        "nobody has read it, so the same wall as for customers' code; among those, the quickest start, "
        "because "
        "there are many"},
    {"a service that must answer quickly", WALL_SHARED, METRIC_HTTP_LATENCY, 3,
        "the shortest time of one request wins; the ways of the packets are not alike and stand below the "
        "table "
        "of the network"},
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

const char *wall_boundary(enum wall wall)
{
    static const char *const texts[] = {
        [WALL_NONE] = "There is no boundary: a program on the host does what its user may do.",
        [WALL_SHARED] =
            "The boundary is the host's kernel itself, with namespaces, capabilities and a filter of "
            "system calls before it. Every call that the filter lets through is served by that kernel, "
            "so a bug in one of them is a way to the whole host and to all other containers.",
        [WALL_EMULATED] = "The boundary is an emulated machine. A bug in the guest's kernel stays in the "
                          "guest; who then breaks "
                          "the emulator is in a confined process of the host without rights. But QEMU's "
                          "makers do not treat bugs "
                          "of emulation as bugs of security, so it is a second line and no wall to rely on "
                          "for hostile code.",
        [WALL_USER] =
            "The boundary is a kernel in user space, which serves nearly all calls itself. A bug of the "
            "host's kernel is out of reach but for the few dozen calls that this process makes; who "
            "breaks it is in a process of the host behind a strict filter.",
        [WALL_HARDWARE] = "The boundary is a virtual machine of the processor. A bug in the guest's kernel "
                          "stays in the guest; "
                          "who breaks out needs a bug in KVM or in the devices of the hypervisor, and in the "
                          "second case is in a "
                          "confined process of the host without rights.",
    };
    return texts[wall];
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

static bool are_tied(const struct verdict *verdict, enum metric metric)
{
    if (!verdict->choice || !verdict->next)
        return false;
    struct summary first = series_summary(&verdict->choice->series[metric]);
    struct summary second = series_summary(&verdict->next->series[metric]);
    return !summaries_differ(&first, &second);
}

bool verdict_is_tie(const struct verdict *verdict, const struct workload *workload)
{
    return are_tied(verdict, workload->metric);
}

/* Our own runtime has to win beyond noise: where it does not, the other one comes first. */
static void yield_in_a_tie(struct verdict *verdict, enum metric metric)
{
    if (!verdict->next || strncmp(verdict->choice->name, "caisson", 7) != 0)
        return;
    if (!are_tied(verdict, metric))
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

/* NULL where nobody was measured. */
static const struct subject_result *best_of(const struct results *results, enum metric metric)
{
    struct verdict all = {0};
    for (size_t i = 0; i < results->count; i++)
        if (subject_wall(results->subjects[i]) != WALL_NONE && is_measured(results->subjects[i], metric))
            consider(&all, results->subjects[i], metric);
    return all.choice;
}

double against_best(const struct results *results, const struct subject_result *subject, enum metric metric)
{
    const struct subject_result *best = best_of(results, metric);
    if (!best || !is_measured(subject, metric))
        return 0;
    return ratio_to(metric, median(subject, metric), median(best, metric));
}

bool is_among_best(const struct results *results, const struct subject_result *subject, enum metric metric)
{
    const struct subject_result *best = best_of(results, metric);
    if (!best || !is_measured(subject, metric))
        return false;
    struct summary one = series_summary(&best->series[metric]),
                   other = series_summary(&subject->series[metric]);
    return best == subject || !summaries_differ(&one, &other);
}

static char *cost(
    const struct results *results, const struct subject_result *subject, enum metric metric, const char *what)
{
    double ratio = against_best(results, subject, metric);
    if (ratio <= 0)
        return must_copy("");
    if (ratio < 1.5)
        return must_printf("; %s: as good as any", what);
    return must_printf("; %s: %.*f times the best%s", what, ratio < 10 ? 1 : 0, ratio,
        is_among_best(results, subject, metric) ? " (within noise)" : "");
}

/* "first choice for a, b; ", or "first choice for none of the workloads below; ". */
static char *purposes(const struct results *results, const struct subject_result *subject)
{
    _cleanup_strv_ char **names = NULL;
    bool any_verdict = false;
    for (size_t i = 0; i < WORKLOADS; i++) {
        struct verdict verdict = workload_verdict(results, &workloads[i]);
        any_verdict |= verdict.choice != NULL;
        if (verdict.choice == subject)
            strv_append(&names, workloads[i].name);
        else if (verdict.next == subject && verdict_is_tie(&verdict, &workloads[i]))
            strv_append_printf(&names, "%s (as good as %s)", workloads[i].name, verdict.choice->name);
    }
    if (!any_verdict)
        return must_copy("");
    _cleanup_free_ char *list = names ? strv_join(names, ", ") : must_copy("none of the workloads below");
    return must_printf("first choice for %s; ", list);
}

char *subject_answer(const struct results *results, const struct subject_result *subject)
{
    if (subject->unusable)
        return must_printf("cannot run here: %s", subject->unusable);
    if (subject_wall(subject) == WALL_NONE)
        return must_copy("the baseline, no runtime: what the machine does without any wall");
    if (subject->stopped)
        return must_printf("wall: %s; %s", wall_name(subject_wall(subject)), subject->stopped);
    _cleanup_free_ char *purpose = purposes(results, subject);
    _cleanup_free_ char *start = cost(results, subject, METRIC_RUN, "start");
    _cleanup_free_ char *calls = cost(results, subject, METRIC_GETPPID, "system calls");
    _cleanup_free_ char *files = cost(results, subject, METRIC_WALK, "walking files");
    _cleanup_free_ char *memory = cost(results, subject, METRIC_IDLE_MEMORY, "idle memory");
    return must_printf(
        "%swall: %s%s%s%s%s", purpose, wall_name(subject_wall(subject)), start, calls, files, memory);
}
