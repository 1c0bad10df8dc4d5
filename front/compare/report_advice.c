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

static char *price(const struct verdict *verdict, const struct workload *workload)
{
    const char *what = metrics[workload->metric].title;
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
        strv_append(&row, verdict.next ? verdict.next->name : "");
        strv_take(&row, price(&verdict, workload));
        strv_append(&row, workload->why);
        table_row(table, row);
    }
}

void report_advice(const struct results *results, struct page *page)
{
    answers(results, page);
    decisions(results, page);
}
