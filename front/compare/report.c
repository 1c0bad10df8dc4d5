/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/report.h"

#include "base/strv.h"
#include "compare/rules.h"

#include <string.h>

#define STEAL_NOTABLE 0.02

static const char *machine_text(const struct results *results, const char *key)
{
    return json_string_value(json_object_get(results->machine, key)) ?: "unknown";
}

static long long machine_number(const struct results *results, const char *key)
{
    return (long long)json_integer_value(json_object_get(results->machine, key));
}

static void title(const struct results *results, struct page *page)
{
    page_heading(page, 1, "Container runtimes side by side");
    page_paragraph(page, "Measured %s on %s, %lld processors, %lld MiB, %s, kernel %s, by: %s",
        results->started ?: "", machine_text(results, "processor"), machine_number(results, "processors"),
        machine_number(results, "memory_mebibytes"), machine_text(results, "system"),
        machine_text(results, "kernel"), results->command ?: "caisson compare");
    if (results->via)
        page_paragraph(page, "The containers were started through %s.", results->via);
    if (results->interrupted)
        page_paragraph(page, "This run was interrupted: what had been measured by then is here, and "
                             "there are fewer samples than "
                             "planned.");
}

/* What else went on, in numbers that say when the figures are not to be trusted. */
static void conditions(const struct results *results, struct page *page)
{
    double steal = json_real_value(json_object_get(results->machine, "steal"));
    double load = json_real_value(json_object_get(results->machine, "load"));
    if (steal > STEAL_NOTABLE)
        page_item(page,
            "Beware: the machine's host took so much of the processors that times are longer than "
            "they are elsewhere.");
    if (load > (double)machine_number(results, "processors"))
        page_item(page, "Beware: the machine was busy with other things when this began; the ratios between "
                        "runtimes hold better than the times.");
}

void report_method(const struct results *results, struct page *page)
{
    page_heading(page, 2, "How it was measured");
    page_item(page,
        "Everything is done in passes: in one pass every runtime does one thing once, in an order that "
        "rotates, so that what else the machine does falls on all alike. What takes long is done less "
        "often; how often stands in the last column of each table. The first pass of starts and of the "
        "application warms up and is not counted.");
    page_item(page, "All run the same program in the same files with the same capabilities and the "
                    "same seccomp filter; what is "
                    "not alike is named below its table.");
    page_item(page, "Intervals cover the true median with 95 %% confidence (order statistics); below "
                    "six samples they are the smallest and the largest. With fewer than four samples on "
                    "either side no difference counts.");
    page_item(page,
        "Cgroups: %s. Load when it began: %.1f, when it ended: %.1f. Processor time that the machine's own "
        "host "
        "took meanwhile: %.2f %%.",
        machine_text(results, "cgroups"), json_real_value(json_object_get(results->machine, "load")),
        json_real_value(json_object_get(results->machine, "load_after")),
        100 * json_real_value(json_object_get(results->machine, "steal")));
    conditions(results, page);
    page_item(page, "Memory is the proportional set size of every process that descends from the runtime's.");
    for (size_t i = 0; i < results->count; i++)
        page_item(page, "%s: %s", results->subjects[i]->name,
            results->subjects[i]->version ?: results->subjects[i]->unusable ?: "no version");
    const char *name;
    json_t *version;
    json_object_foreach (json_object_get(results->machine, "tools"), name, version)
        page_item(page, "%s: %s", name, json_string_value(version) ?: "");
    page_item(page, "Every sample of every table stands in the JSON file beside this report.");
}

void report_write(const struct results *results, struct page *ret_page)
{
    *ret_page = (struct page){0};
    title(results, ret_page);
    report_advice(results, ret_page);
    report_isolation(results, ret_page);
    report_costs(results, ret_page);
    report_method(results, ret_page);
}

char *report_summary(const struct results *results)
{
    static const enum metric shown[] = {
        METRIC_RUN, METRIC_EXEC, METRIC_GETPPID, METRIC_WALK, METRIC_INTEGER, METRIC_IDLE_MEMORY};
    _cleanup_strv_ char **lines = NULL;
    strv_append_printf(&lines, "%-18s%12s%12s%12s%12s%12s%12s", "", "start ms", "exec ms", "getppid ns",
        "walk ms", "integer ns", "idle MiB");
    for (size_t i = 0; i < results->count; i++) {
        const struct subject_result *subject = results->subjects[i];
        if (subject->unusable) {
            strv_append_printf(&lines, "%-18s  %s", subject->name, subject->unusable);
            continue;
        }
        char *line = must_printf("%-18s", subject->name);
        for (size_t j = 0; j < ARRAY_SIZE(shown); j++) {
            struct summary summary = series_summary(&subject->series[shown[j]]);
            _cleanup_free_ char *value = summary.count ? number_text(summary.median) : must_copy("-");
            char *longer = must_printf("%s%12s", line, value);
            free(line);
            line = longer;
        }
        strv_take(&lines, line);
    }
    return strv_join(lines, "\n");
}
