/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/report.h"

#include "base/strv.h"

#include <stdint.h>
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

/* "6", or "1 to 6" where the runtimes do not have as many. */
static char *sample_count(const struct results *results, enum metric metric)
{
    size_t least = SIZE_MAX, most = 0;
    for (size_t i = 0; i < results->count; i++) {
        size_t count = results->subjects[i]->series[metric].count;
        if (count == 0)
            continue;
        least = count < least ? count : least;
        most = count > most ? count : most;
    }
    return least < most ? must_printf("%zu to %zu", least, most) : must_printf("%zu", most);
}

static void group_table(const struct results *results, enum metric_group group, struct page *page)
{
    char **header = NULL;
    strv_append(&header, "median (95 % interval)");
    for (size_t i = 0; i < results->count; i++)
        if (ran(results->subjects[i]))
            strv_append(&header, results->subjects[i]->name);
    strv_append(&header, "samples");
    struct block *table = page_table(page, header);
    strv_free(header);
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        if (metrics[metric].group != group || !results_mention(results, metric))
            continue;
        char **row = NULL;
        strv_append_printf(&row, "%s, %s", metrics[metric].title, metrics[metric].unit);
        for (size_t i = 0; i < results->count; i++)
            if (ran(results->subjects[i]))
                strv_take(&row, cell(&results->subjects[i]->series[metric]));
        strv_take(&row, sample_count(results, metric));
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

static bool same_note(
    const struct subject_result *one, const struct subject_result *other, enum metric metric)
{
    const char *left = one->series[metric].note, *right = other->series[metric].note;
    return left && right && !strcmp(left, right);
}

/* Names of all that carry the same note there; NULL where an earlier one has said it, be it of the metric
   before. */
static char *who_says(const struct results *results, size_t first, enum metric metric)
{
    const struct subject_result *subject = results->subjects[first];
    const char *note = subject->series[metric].note;
    const char *before = metric > 0 && metrics[metric - 1].group == metrics[metric].group
                             ? subject->series[metric - 1].note
                             : NULL;
    _cleanup_strv_ char **names = NULL;
    if (!note || subject->unusable || (before && !strcmp(before, note)))
        return NULL;
    for (size_t i = 0; i < results->count; i++) {
        if (results->subjects[i]->unusable || !same_note(subject, results->subjects[i], metric))
            continue;
        if (i < first)
            return NULL;
        strv_append(&names, results->subjects[i]->name);
    }
    return strv_join(names, ", ");
}

/* What makes figures of one row unlike each other, or why there is none, each said once. */
static void notes(const struct results *results, enum metric_group group, struct page *page)
{
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        if (metrics[metric].group != group)
            continue;
        for (size_t i = 0; i < results->count; i++) {
            const struct subject_result *subject = results->subjects[i];
            _cleanup_free_ char *names = who_says(results, i, metric);
            if (names)
                page_item(page, "%s: %s: %s", metrics[metric].title, names, subject->series[metric].note);
            if (subject->series[metric].failure)
                page_item(page, "%s: %s failed: %s", metrics[metric].title, subject->name,
                    subject->series[metric].failure);
        }
    }
}

static bool group_have(const struct results *results, enum metric_group group)
{
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
        if (metrics[metric].group == group && results_mention(results, metric))
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
