/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/report.h"

#include "base/strv.h"
#include "compare/rules.h"

static void answers(const struct results *results, struct page *page)
{
    page_heading(page, 2, "The answer");
    for (size_t i = 0; i < results->count; i++) {
        _cleanup_free_ char *answer = subject_answer(results, results->subjects[i]);
        page_item(page, "%s: %s.", results->subjects[i]->name, answer);
    }
    for (size_t i = 0; i < results->count; i++) {
        _cleanup_free_ char *contradiction = subject_contradiction(results, results->subjects[i]);
        if (contradiction)
            page_paragraph(page, "Beware of %s: %s.", results->subjects[i]->name, contradiction);
    }
}

/* ---- the matrix ---- */

/* One measure stands for each thing that is traded. */
static const struct {
    const char *title;
    enum metric metric;
} traded[] = {
    {"start", METRIC_RUN},
    {"exec", METRIC_EXEC},
    {"system calls", METRIC_GETPPID},
    {"processes", METRIC_FORK},
    {"files", METRIC_WALK},
    {"volume", METRIC_VOLUME_RANDOM_READ},
    {"processor", METRIC_INTEGER},
    {"requests", METRIC_HTTP_LATENCY},
    {"idle memory", METRIC_IDLE_MEMORY},
};

static char **matrix_header(const struct results *results)
{
    char **header = NULL;
    strv_append(&header, "times the best");
    strv_append(&header, "wall");
    for (size_t i = 0; i < ARRAY_SIZE(traded); i++)
        if (results_have(results, traded[i].metric))
            strv_append(&header, traded[i].title);
    return header;
}

static char *ratio_text(
    const struct results *results, const struct subject_result *subject, enum metric metric)
{
    double ratio = against_best(results, subject, metric);
    if (ratio <= 0)
        return must_copy("-");
    return must_printf("%.*f%s", ratio < 10 ? 1 : 0, ratio,
        ratio > 1 && is_among_best(results, subject, metric) ? " ~" : "");
}

/* What is gained (the wall) and what is paid for it, side by side. */
static void matrix(const struct results *results, struct page *page)
{
    _cleanup_strv_ char **header = matrix_header(results);
    if (strv_length(header) == 2)
        return;
    page_heading(page, 2, "What is traded for what");
    page_paragraph(page,
        "How many times the best runtime's median each one needs; the host is no runtime. Where \"~\" stands "
        "behind a number, the difference to the best one is not beyond noise. The figures themselves stand "
        "below.");
    struct block *table = page_table(page, header);
    for (size_t i = 0; i < results->count; i++) {
        const struct subject_result *subject = results->subjects[i];
        char **row = NULL;
        if (subject->unusable || subject_wall(subject) == WALL_NONE)
            continue;
        strv_append(&row, subject->name);
        strv_append(&row, wall_name(subject_wall(subject)));
        for (size_t j = 0; j < ARRAY_SIZE(traded); j++)
            if (results_have(results, traded[j].metric))
                strv_take(&row, ratio_text(results, subject, traded[j].metric));
        table_row(table, row);
    }
}

/* ---- decisions ---- */

static char *price(const struct verdict *verdict, const struct workload *workload)
{
    const char *what = metrics[workload->metric].title;
    if (!verdict->choice && verdict->ratio < 0)
        return must_printf("%s was not measured", what);
    if (!verdict->choice)
        return must_copy("none of those that ran has this wall");
    struct summary summary = series_summary(&verdict->choice->series[workload->metric]);
    _cleanup_free_ char *value = number_text(summary.median);
    _cleanup_free_ char *sum = must_printf("%s: %s %s", what, value, metrics[workload->metric].unit);
    return verdict->ratio > workload->worst_ratio
               ? must_printf("%s, %.0f times the best without this wall: measure your own job first", sum,
                     verdict->ratio)
               : must_copy(sum);
}

/* The second best; and whether the first is better at all. */
static char *alternative(const struct verdict *verdict, const struct workload *workload)
{
    if (!verdict->next)
        return must_copy("");
    return must_printf("%s%s", verdict->next->name,
        verdict_is_tie(verdict, workload) ? " (no difference beyond noise)" : "");
}

static void decisions(const struct results *results, struct page *page)
{
    page_heading(page, 2, "Which one for what");
    struct block *table = page_table(
        page, (char *[]){"for", "wall at least", "choose", "or", "what it costs", "the rule", NULL});
    for (size_t i = 0; i < WORKLOADS; i++) {
        const struct workload *workload = &workloads[i];
        struct verdict verdict = workload_verdict(results, workload);
        char **row = NULL;
        strv_append(&row, workload->name);
        strv_append(&row, wall_name(workload->least));
        strv_append(&row, verdict.choice ? verdict.choice->name : "none here");
        strv_take(&row, alternative(&verdict, workload));
        strv_take(&row, price(&verdict, workload));
        strv_append(&row, workload->why);
        table_row(table, row);
    }
    page_paragraph(page,
        "Caisson made this report, so it has to win beyond noise: in a tie the other one is named first. "
        "Walls, "
        "from the lowest: %s; %s; %s; %s. An emulated machine stands below a kernel in user space because "
        "QEMU's "
        "makers do not treat bugs of emulation as bugs of security.",
        wall_name(WALL_SHARED), wall_name(WALL_EMULATED), wall_name(WALL_USER), wall_name(WALL_HARDWARE));
}

void report_advice(const struct results *results, struct page *page)
{
    answers(results, page);
    matrix(results, page);
    decisions(results, page);
}
