/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/lab.h"

#include "base/fd.h"
#include "base/strv.h"
#include "compare/report.h"
#include "compare/rules.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SECONDS 1e-3 /* of the milliseconds that were measured */

struct lab {
    const struct results *results;
    const char *directory;
    const struct subject_result *shared; /* the host's kernel behind a filter */
    const struct subject_result *walled; /* a kernel of its own, Kata or the nearest to it */
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

/* The same thing of the host, of the shared and of the walled one, one after the other. `counted` is what the
   lines are, where their number says more than they do. */
static char *side_by_side(const struct lab *lab, const char *key, const char *title, const char *counted)
{
    const struct subject_result *const all[] = {results_find(lab->results, "host"), lab->shared, lab->walled};
    _cleanup_strv_ char **parts = NULL;
    strv_append_printf(&parts, "# %s\n", title);
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (!all[i])
            continue;
        _cleanup_free_ char *text = text_of(all[i], key);
        size_t count = json_array_size(json_object_get(all[i]->evidence, key));
        if (counted)
            strv_append_printf(&parts, "=== %s: %zu %s ===\n%s", all[i]->name, count, counted, text);
        else
            strv_append_printf(&parts, "=== %s ===\n%s", all[i]->name, text);
    }
    return strv_join(parts, "\n");
}

/* What `uname -a` says. */
static char *uname_text(const struct subject_result *subject)
{
    static const char *const keys[] = {
        "kernel_name", "hostname", "kernel_release", "kernel_version", "architecture"};
    _cleanup_strv_ char **words = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const char *word = json_string_value(json_object_get(subject ? subject->evidence : NULL, keys[i]));
        if (word)
            strv_append(&words, word);
    }
    _cleanup_free_ char *line = strv_join(words, " ");
    return must_printf("%s\n", line);
}

/* "juice-runc: HTTP 200" in the course; here with the name of what was asked. */
static char *health_text(const struct lab *lab)
{
    const char *asked = results_have(lab->results, METRIC_APP_LATENCY) ? "application" : "probe's web server";
    if (!lab->shared)
        return must_copy("no runtime that shares the host's kernel ran\n");
    if (!lab->shared->http_status)
        return must_printf("%s: no web server was asked\n", lab->shared->name);
    return must_printf("%s, %s: HTTP %lld\n", lab->shared->name, asked, (long long)lab->shared->http_status);
}

static char *built_version(const struct lab *lab)
{
    const struct subject_result *walled = lab->walled;
    if (!walled)
        return must_copy("no runtime with a kernel of its own ran\n");
    bool is_kata = !strcmp(walled->name, "kata");
    return must_printf("%s\n%s", walled->version ?: walled->name,
        is_kata ? "" : "# This is not Kata Containers: it is the runtime that stands in its place here.\n");
}

/* In the unit's share `scale`, as the course gives them. */
static char *figures(const struct lab *lab, enum metric metric, double scale, const char *unit)
{
    _cleanup_strv_ char **lines = NULL;
    for (size_t i = 0; i < lab->results->count; i++) {
        const struct subject_result *subject = lab->results->subjects[i];
        const struct series *series = &subject->series[metric];
        struct summary summary = series_summary(series);
        double sum = 0;
        for (size_t j = 0; j < summary.count; j++)
            sum += series->values[j];
        const char *why = subject->unusable ?: series->failure ?: series->note ?: "it was not asked for";
        if (summary.count > 0)
            strv_append_printf(&lines, "%s: avg=%.6f%s min=%.6f%s max=%.6f%s n=%zu median=%.6f%s failed=%u",
                subject->name, scale * sum / (double)summary.count, unit, scale * summary.minimum, unit,
                scale * summary.maximum, unit, summary.count, scale * summary.median, unit, series->failures);
        else
            strv_append_printf(&lines, "%s: not measured: %s", subject->name, why);
    }
    strv_append(&lines, "");
    return strv_join(lines, "\n");
}

static char *samples(const struct subject_result *subject, enum metric metric)
{
    _cleanup_strv_ char **lines = NULL;
    const struct series *series = subject ? &subject->series[metric] : NULL;
    for (size_t i = 0; series && i < series->count; i++)
        strv_append_printf(&lines, "%.6f", series->values[i] * SECONDS); /* as curl prints them */
    strv_append(&lines, "");
    return strv_join(lines, "\n");
}

/* The application's, where one was given: that is what people ask. */
static enum metric latency(const struct results *results)
{
    return results_have(results, METRIC_APP_LATENCY) ? METRIC_APP_LATENCY : METRIC_HTTP_LATENCY;
}

static void write_boundaries(const struct lab *lab, struct page *page)
{
    page_heading(page, 2, "Isolation boundary and what follows");
    for (size_t i = 0; i < lab->results->count; i++) {
        const struct subject_result *subject = lab->results->subjects[i];
        enum wall wall = subject_wall(subject);
        if (!subject->unusable && wall != WALL_NONE)
            page_item(page, "%s (%s). %s", subject->name, wall_name(wall), wall_boundary(wall));
    }
}

static char *summary_text(const struct lab *lab)
{
    struct page page = {0};
    page_heading(&page, 1, "%s and %s, seen and measured", name_of(lab->shared), name_of(lab->walled));
    page_paragraph(&page,
        "What was run: %s, on %s. Each runtime ran the same program, which looked around, measured and "
        "served a web "
        "page%s. Where a file's name says kata, its content is that of %s; where it says runc, or the port "
        "3012 of "
        "the course, it is that of %s.",
        lab->results->command ?: "caisson compare", lab->results->started ?: "",
        results_have(lab->results, METRIC_APP_LATENCY) ? ", and the application that was given" : "",
        name_of(lab->walled), name_of(lab->shared));
    report_advice(lab->results, &page);
    write_boundaries(lab, &page);
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
    enum metric asked = latency(lab->results);
    TRY(put(lab, "setup/kata-built-version.txt", built_version(lab)));
    TRY(put(lab, "runc/health.txt", health_text(lab)));
    TRY(put(lab, "kata/test1.txt", uname_text(lab->walled)));
    TRY(put(lab, "kata/kernel.txt", text_of(lab->walled, "kernel_release")));
    TRY(put(lab, "kata/cpu.txt", text_of(lab->walled, "cpu_model")));
    TRY(put(lab, "analysis/kernel-comparison.txt",
        side_by_side(lab, "proc_version", "Which kernel answers (/proc/version)", NULL)));
    TRY(put(lab, "analysis/cpu-comparison.txt",
        side_by_side(lab, "cpu_model", "Which processor is seen (/proc/cpuinfo)", NULL)));
    TRY(put(
        lab, "isolation/dmesg.txt", side_by_side(lab, "dmesg", "The kernel's log, its first lines", NULL)));
    TRY(put(lab, "isolation/proc.txt",
        side_by_side(lab, "proc", "What /proc holds besides processes", "entries")));
    TRY(put(lab, "isolation/network.txt",
        side_by_side(lab, "addresses", "Network interfaces with their addresses", "addresses")));
    TRY(put(lab, "isolation/modules.txt",
        side_by_side(lab, "built_in", "Modules of the kernel (/sys/module)", "modules")));
    TRY(put(lab, "bench/startup.txt", figures(lab, METRIC_RUN, SECONDS, "s")));
    TRY(put(lab, "bench/http-latency.txt", figures(lab, asked, SECONDS, "s")));
    TRY(put(lab, "bench/curl-3012.txt", samples(lab->shared, asked)));
    return put(lab, "summary.md", summary_text(lab));
}

/* A virtual machine, be it emulated, plays Kata's part before a kernel in user space does. */
static bool is_nearer_to_kata(const struct subject_result *one, const struct subject_result *other)
{
    static const unsigned char ranks[] = {[WALL_USER] = 1, [WALL_EMULATED] = 2, [WALL_HARDWARE] = 3};
    bool is_kata = !strcmp(one->name, "kata");
    return !other || ranks[subject_wall(one)] + is_kata > ranks[subject_wall(other)];
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
        if (wall > WALL_SHARED && is_nearer_to_kata(subject, lab->walled))
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
