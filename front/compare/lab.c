/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/lab.h"

#include "base/fd.h"
#include "base/strv.h"
#include "compare/report.h"
#include "compare/rules.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct lab {
    const struct results *results;
    const char *directory;
    const struct subject_result *shared; /* the host's kernel behind a filter */
    const struct subject_result *walled; /* a kernel of its own, the highest wall */
};

/* ---- what is told ---- */

static char *text_of(const struct subject_result *subject, const char *key)
{
    const json_t *value = subject ? json_object_get(subject->evidence, key) : NULL;
    _cleanup_strv_ char **lines = NULL;
    size_t index;
    json_t *line;
    if (json_is_integer(value))
        return must_printf("%lld\n", (long long)json_integer_value(value));
    if (json_is_string(value))
        return must_printf("%s\n", json_string_value(value));
    json_array_foreach (value, index, line)
        strv_append(&lines, json_string_value(line) ?: "");
    strv_append(&lines, "");
    return strv_join(lines, "\n");
}

static const char *name_of(const struct subject_result *subject)
{
    return subject ? subject->name : "none";
}

/* The same thing of the host, of the shared and of the walled one, one after the other. */
static char *side_by_side(const struct lab *lab, const char *key)
{
    const struct subject_result *const all[] = {results_find(lab->results, "host"), lab->shared, lab->walled};
    _cleanup_strv_ char **parts = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (!all[i])
            continue;
        _cleanup_free_ char *text = text_of(all[i], key);
        strv_append_printf(&parts, "=== %s ===\n%s", all[i]->name, text);
    }
    return strv_join(parts, "\n");
}

static char *figures(const struct lab *lab, enum metric metric)
{
    _cleanup_strv_ char **lines = NULL;
    for (size_t i = 0; i < lab->results->count; i++) {
        const struct subject_result *subject = lab->results->subjects[i];
        struct summary summary = series_summary(&subject->series[metric]);
        double sum = 0;
        for (size_t j = 0; j < summary.count; j++)
            sum += subject->series[metric].values[j];
        if (summary.count > 0)
            strv_append_printf(&lines, "%s: avg=%.4g min=%.4g max=%.4g n=%zu median=%.4g %s", subject->name,
                sum / (double)summary.count, summary.minimum, summary.maximum, summary.count, summary.median,
                metrics[metric].unit);
        else
            strv_append_printf(&lines, "%s: not measured%s%s", subject->name, subject->unusable ? ": " : "",
                subject->unusable ?: "");
    }
    strv_append(&lines, "");
    return strv_join(lines, "\n");
}

static char *samples(const struct subject_result *subject, enum metric metric)
{
    _cleanup_strv_ char **lines = NULL;
    const struct series *series = subject ? &subject->series[metric] : NULL;
    for (size_t i = 0; series && i < series->count; i++)
        strv_append_printf(&lines, "%.6f", series->values[i] / 1e3); /* seconds, as curl prints them */
    strv_append(&lines, "");
    return strv_join(lines, "\n");
}

/* The application's, where one was given: that is what people ask. */
static enum metric latency(const struct results *results)
{
    return results_have(results, METRIC_APP_LATENCY) ? METRIC_APP_LATENCY : METRIC_HTTP_LATENCY;
}

static char *summary_text(const struct lab *lab)
{
    struct page page = {0};
    page_heading(&page, 1, "%s and %s, seen and measured", name_of(lab->shared), name_of(lab->walled));
    page_paragraph(&page,
        "Run: %s, on %s. The walled runtime is %s; where a Kata file name is used, it is that "
        "one's output.",
        lab->results->command ?: "caisson compare", lab->results->started ?: "", name_of(lab->walled));
    report_advice(lab->results, &page);
    page_heading(&page, 2, "Isolation boundary and what follows");
    page_paragraph(&page,
        "A container of %s shares the host's kernel: every call that its filter lets through is served by "
        "that kernel, "
        "and a bug in one of them is a bug of the host. A container of %s has another kernel; who breaks it "
        "is in a "
        "process of the host without rights and still has to break out of that.",
        name_of(lab->shared), name_of(lab->walled));
    report_isolation(lab->results, &page);
    report_costs(lab->results, &page);
    report_method(lab->results, &page);
    char *text = page_markdown(&page);
    page_clear(&page);
    return text;
}

/* ---- files ---- */

static struct error *make_directory(const char *directory, const char *name)
{
    struct stat status;
    _cleanup_free_ char *path = must_printf("%s%s%s", directory, *name ? "/" : "", name);
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return error_errno(errno, "making the directory %s for the evidence", path);
    if (stat(path, &status) < 0 || !S_ISDIR(status.st_mode))
        return error_new(ERROR_INVALID_ARGUMENT, "--evidence: %s is no directory", path);
    return access(path, W_OK) < 0 ? error_errno(errno, "writing evidence to %s", path) : NULL;
}

static struct error *put(const struct lab *lab, const char *name, char *text_taken)
{
    _cleanup_free_ char *path = must_printf("%s/%s", lab->directory, name);
    struct error *error = file_write_text(AT_FDCWD, path, text_taken);
    free(text_taken);
    return error;
}

static struct error *put_files(const struct lab *lab)
{
    const struct subject_result *walled = lab->walled;
    _cleanup_free_ char *health =
        must_printf("%s: %s\n", name_of(lab->shared), lab->shared ? "ran" : "did not run");
    TRY(put(lab, "setup/kata-built-version.txt",
        must_printf("%s\n", walled && walled->version ? walled->version : "none")));
    TRY(put(lab, "runc/health.txt", TAKE_PTR(health)));
    TRY(put(lab, "kata/test1.txt", text_of(walled, "proc_version")));
    TRY(put(lab, "kata/kernel.txt", text_of(walled, "kernel_release")));
    TRY(put(lab, "kata/cpu.txt", text_of(walled, "cpu_model")));
    TRY(put(lab, "analysis/kernel-comparison.txt", side_by_side(lab, "kernel_release")));
    TRY(put(lab, "analysis/cpu-comparison.txt", side_by_side(lab, "cpu_model")));
    TRY(put(lab, "isolation/dmesg.txt", side_by_side(lab, "dmesg")));
    TRY(put(lab, "isolation/proc.txt", side_by_side(lab, "proc")));
    TRY(put(lab, "isolation/network.txt", side_by_side(lab, "interfaces")));
    TRY(put(lab, "isolation/modules.txt", side_by_side(lab, "modules")));
    TRY(put(lab, "bench/startup.txt", figures(lab, METRIC_RUN)));
    TRY(put(lab, "bench/http-latency.txt", figures(lab, latency(lab->results))));
    TRY(put(lab, "bench/curl-3012.txt", samples(lab->shared, latency(lab->results))));
    return put(lab, "summary.md", summary_text(lab));
}

static void choose(struct lab *lab)
{
    for (size_t i = 0; i < lab->results->count; i++) {
        const struct subject_result *subject = lab->results->subjects[i];
        enum wall wall = subject_wall(subject);
        if (subject->unusable)
            continue;
        if (wall == WALL_SHARED && !lab->shared)
            lab->shared = subject;
        if (wall > WALL_SHARED && (!lab->walled || wall > subject_wall(lab->walled)))
            lab->walled = subject;
    }
}

struct error *lab_prepare(const char *directory)
{
    static const char *const below[] = {"", "setup", "runc", "kata", "analysis", "isolation", "bench"};
    for (size_t i = 0; i < ARRAY_SIZE(below); i++)
        TRY(make_directory(directory, below[i]));
    return NULL;
}

struct error *lab_write(const struct results *results, const char *directory)
{
    struct lab lab = {.results = results, .directory = directory};
    choose(&lab);
    return put_files(&lab);
}
