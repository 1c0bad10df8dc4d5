/* SPDX-License-Identifier: Apache-2.0 */
/* What changed from one report to another, and whether the two may be compared at all. */
#include "compare/report.h"

#include "base/strv.h"

#include <string.h>

static void difference_row(struct block *table, const char *subject, const struct metric_description *metric,
    const struct summary *before, const struct summary *after)
{
    char **row = NULL;
    bool better = metric->higher_is_better ? after->median > before->median : after->median < before->median;
    strv_append(&row, subject);
    strv_append_printf(&row, "%s, %s", metric->title, metric->unit);
    strv_take(&row, number_text(before->median));
    strv_take(&row, number_text(after->median));
    strv_append_printf(&row, "%+.0f %%", 100 * (after->median - before->median) / before->median);
    strv_append(&row, better ? "better" : "worse");
    table_row(table, row);
}

static size_t compare_subjects(
    const struct subject_result *before, const struct subject_result *after, struct block *table)
{
    size_t changed = 0;
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        struct summary old = series_summary(&before->series[metric]),
                       new = series_summary(&after->series[metric]);
        if (!summaries_differ(&old, &new) || old.median == 0)
            continue;
        difference_row(table, after->name, &metrics[metric], &old, &new);
        changed++;
    }
    return changed;
}

/* ---- what they have in common ---- */

static bool same_text(const char *left, const char *right)
{
    return !strcmp(left ?: "", right ?: "");
}

char *report_unlike(const struct results *before, const struct results *after)
{
    static const char *const keys[] = {"processor", "processors", "memory_mebibytes", "kernel", "cgroups"};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (!json_equal(
                json_object_get(before->machine, keys[i]), json_object_get(after->machine, keys[i])) &&
            (json_object_get(before->machine, keys[i]) || json_object_get(after->machine, keys[i])))
            return must_printf("unlike machines (%s)", keys[i]);
    if (!same_text(before->via, after->via))
        return must_printf(
            "started by %s and by %s", before->via ?: "the runtimes", after->via ?: "the runtimes");
    if (!same_text(before->version, after->version))
        return must_printf("measured by version %s and by version %s", before->version ?: "unknown",
            after->version ?: "unknown");
    if (before->file_bytes != after->file_bytes)
        return must_printf("with files of %lld and of %lld bytes", (long long)before->file_bytes,
            (long long)after->file_bytes);
    return NULL;
}

/* Often just what is wanted to be known; but it has to be said. */
static void versions(const struct results *before, const struct results *after, struct page *page)
{
    for (size_t i = 0; i < after->count; i++) {
        const struct subject_result *new = after->subjects[i], *old = results_find(before, new->name);
        if (old && !same_text(old->version, new->version))
            page_item(page, "%s is another one: %s, then %s", new->name, old->version ?: "unknown",
                new->version ?: "unknown");
    }
}

void report_difference(const struct results *before, const struct results *after, struct page *ret_page)
{
    struct page page = {0};
    size_t changed = 0, common = 0;
    page_heading(&page, 1, "What changed beyond noise");
    page_paragraph(&page,
        "From %s to %s. A change counts where the intervals of the two medians do not meet.",
        before->started ?: "before", after->started ?: "after");
    _cleanup_free_ char *unlike = report_unlike(before, after);
    if (unlike)
        page_paragraph(&page, "Beware: the two were not made alike: %s.", unlike);
    versions(before, after, &page);
    struct block *table =
        page_table(&page, (char *[]){"runtime", "what", "before", "after", "change", "", NULL});
    for (size_t i = 0; i < after->count; i++) {
        const struct subject_result *old = results_find(before, after->subjects[i]->name);
        if (!old)
            continue;
        common++;
        changed += compare_subjects(old, after->subjects[i], table);
    }
    page_paragraph(&page, "%zu changes in %zu runtimes that both have.", changed, common);
    *ret_page = page;
}
