/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/report.h"

#include "base/strv.h"

#include <string.h>

#define BARS_MAX SUBJECTS_MAX

static bool ran(const struct subject_result *subject)
{
    return !subject->unusable;
}

/* "626 (610 to 655)", and failures where there were some. */
static char *cell(const struct series *series)
{
    struct summary summary = series_summary(series);
    if (summary.count == 0)
        return series->failures ? must_printf("failed %u times", series->failures) : must_copy("-");
    _cleanup_free_ char *median = number_text(summary.median), *low = number_text(summary.low),
                        *high = number_text(summary.high);
    _cleanup_free_ char *range =
        strcmp(low, high) == 0 ? must_copy(median) : must_printf("%s (%s to %s)", median, low, high);
    return series->failures ? must_printf("%s, failed %u of %zu", range, series->failures,
                                  series->count + series->failures)
                            : must_copy(range);
}

static void group_table(const struct results *results, enum metric_group group, struct page *page)
{
    char **header = NULL;
    strv_append(&header, "median (95 % interval)");
    for (size_t i = 0; i < results->count; i++)
        if (ran(results->subjects[i]))
            strv_append(&header, results->subjects[i]->name);
    struct block *table = page_table(page, header);
    strv_free(header);
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        if (metrics[metric].group != group || !results_have(results, metric))
            continue;
        char **row = NULL;
        strv_append_printf(&row, "%s, %s", metrics[metric].title, metrics[metric].unit);
        for (size_t i = 0; i < results->count; i++)
            if (ran(results->subjects[i]))
                strv_take(&row, cell(&results->subjects[i]->series[metric]));
        table_row(table, row);
    }
}

static void group_charts(const struct results *results, enum metric_group group, struct page *page)
{
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        if (metrics[metric].group != group || !results_have(results, metric))
            continue;
        struct block *chart =
            page_chart(page, metrics[metric].title, metrics[metric].unit, metrics[metric].higher_is_better);
        for (size_t i = 0; i < results->count; i++) {
            struct summary summary = series_summary(&results->subjects[i]->series[metric]);
            if (summary.count > 0)
                chart_bar(chart, results->subjects[i]->name, summary.median, summary.low, summary.high);
        }
    }
}

/* The tails, which medians hide: of the whole start only, where people feel them. */
static void tails(const struct results *results, struct page *page)
{
    if (!results_have(results, METRIC_RUN))
        return;
    struct block *table = page_table(
        page, (char *[]){"start to exit, ms", "n", "median", "p95", "p99", "worst", "failed", NULL});
    for (size_t i = 0; i < results->count; i++) {
        const struct series *series = &results->subjects[i]->series[METRIC_RUN];
        struct summary summary = series_summary(series);
        const double values[] = {summary.median, summary.p95, summary.p99, summary.maximum};
        char **row = NULL;
        if (summary.count == 0)
            continue;
        strv_append(&row, results->subjects[i]->name);
        strv_append_printf(&row, "%zu", summary.count);
        for (size_t j = 0; j < ARRAY_SIZE(values); j++)
            strv_take(&row, number_text(values[j]));
        strv_append_printf(&row, "%u", series->failures);
        table_row(table, row);
    }
}

/* What makes figures of one row unlike each other, each said once. */
static void notes(const struct results *results, enum metric_group group, struct page *page)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct subject_result *subject = results->subjects[i];
        const char *last = "";
        for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
            const struct series *series = &subject->series[metric];
            if (metrics[metric].group != group || !results_have(results, metric) || subject->unusable)
                continue;
            if (series->note && strcmp(series->note, last) != 0)
                page_item(page, "%s, %s: %s", subject->name, metrics[metric].title, series->note);
            last = series->note ?: "";
            if (series->failure)
                page_item(page, "%s, %s failed: %s", subject->name, metrics[metric].title, series->failure);
        }
    }
}

static bool group_have(const struct results *results, enum metric_group group)
{
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
        if (metrics[metric].group == group && results_have(results, metric))
            return true;
    return false;
}

void report_costs(const struct results *results, struct page *page)
{
    page_heading(page, 2, "What it costs");
    for (enum metric_group group = 0; group < GROUP_COUNT; group++) {
        if (!group_have(results, group))
            continue;
        page_heading(page, 3, "%s", groups[group].title);
        page_paragraph(page, "%s", groups[group].how);
        group_table(results, group, page);
        group_charts(results, group, page);
        if (group == GROUP_STARTUP)
            tails(results, page);
        notes(results, group, page);
    }
}
