/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/report.h"

#include "base/strv.h"
#include "compare/call_name.h"
#include "compare/rules.h"

#include <string.h>

#define NAMES_SHOWN 400

static bool is_seen(const struct subject_result *subject)
{
    return subject->evidence != NULL;
}

static char **header_of(const struct results *results, const char *first)
{
    char **header = NULL;
    strv_append(&header, first);
    for (size_t i = 0; i < results->count; i++)
        if (is_seen(results->subjects[i]))
            strv_append(&header, results->subjects[i]->name);
    return header;
}

/* ---- evidence ---- */

static const struct {
    const char *key;
    const char *title;
    enum { SHOW_TEXT, SHOW_COUNT, SHOW_FIRST } how;
} rows[] = {
    {"kernel_release", "kernel", SHOW_TEXT},
    {"kernel_version", "kernel's build", SHOW_TEXT},
    {"cpu_model", "processor", SHOW_TEXT},
    {"cpus", "processors", SHOW_TEXT},
    {"memory", "memory, bytes", SHOW_TEXT},
    {"uptime", "uptime, s", SHOW_TEXT},
    {"dmesg", "first line of the kernel's log", SHOW_FIRST},
    {"proc", "entries in /proc", SHOW_COUNT},
    {"module_count", "kernel modules loaded (/proc/modules)", SHOW_TEXT},
    {"built_in", "kernel modules seen (/sys/module)", SHOW_COUNT},
    {"interfaces", "network interfaces", SHOW_COUNT},
    {"mount_count", "mounts", SHOW_TEXT},
    {"devices", "entries in /dev", SHOW_COUNT},
    {"processes_seen", "processes seen", SHOW_TEXT},
    {"capabilities", "capabilities", SHOW_TEXT},
    {"seccomp", "seccomp mode (2: a filter)", SHOW_TEXT},
    {"cgroup", "its cgroup, as it sees it", SHOW_FIRST},
};

static char *value_text(const json_t *value, int how)
{
    if (how == SHOW_COUNT)
        return must_printf("%zu", json_array_size(value));
    if (how == SHOW_FIRST)
        value = json_array_get(value, 0);
    if (json_is_string(value))
        return must_copy(json_string_value(value));
    if (json_is_integer(value))
        return must_printf("%lld", (long long)json_integer_value(value));
    return must_copy("-");
}

static void evidence_table(const struct results *results, struct page *page)
{
    _cleanup_strv_ char **header = header_of(results, "seen from inside");
    struct block *table = page_table(page, header);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char **row = NULL;
        strv_append(&row, rows[i].title);
        for (size_t j = 0; j < results->count; j++)
            if (is_seen(results->subjects[j]))
                strv_take(&row,
                    value_text(json_object_get(results->subjects[j]->evidence, rows[i].key), rows[i].how));
        table_row(table, row);
    }
}

/* The attempts are those of the first that was seen: all were asked the same. */
static void reach_table(const struct results *results, struct page *page)
{
    const json_t *attempts = NULL;
    for (size_t i = 0; i < results->count && !attempts; i++)
        attempts = json_object_get(results->subjects[i]->evidence, "reach");
    if (!attempts)
        return;
    _cleanup_strv_ char **header = header_of(results, "can it reach");
    struct block *table = page_table(page, header);
    const char *name;
    json_t *unused;
    json_object_foreach ((json_t *)(uintptr_t)attempts, name, unused) {
        char **row = NULL;
        strv_append(&row, name);
        for (size_t i = 0; i < results->count; i++)
            if (is_seen(results->subjects[i]))
                strv_take(
                    &row, value_text(
                              json_object_get(json_object_get(results->subjects[i]->evidence, "reach"), name),
                              SHOW_TEXT));
        table_row(table, row);
    }
}

/* ---- the drill ---- */

static void calls_table(const struct results *results, struct page *page)
{
    struct block *table = page_table(
        page, (char *[]){"system calls", "answered", "no such call", "refused", "killed", "tried", NULL});
    for (size_t i = 0; i < results->count; i++) {
        const struct subject_result *subject = results->subjects[i];
        char **row = NULL;
        if (!subject->calls)
            continue;
        strv_append(&row, subject->name);
        for (const char *class = "anpk"; *class; class ++)
            strv_append_printf(&row, "%u", calls_count(subject, *class));
        strv_append_printf(&row, "%zu", strlen(subject->calls));
        table_row(table, row);
    }
}

/* Names of the numbers whose class is `inside` in one and `outside` in the other. */
static char *names_between(const struct subject_result *one, const struct subject_result *other)
{
    _cleanup_strv_ char **names = NULL;
    size_t shown = 0;
    for (unsigned i = 0; one->calls[i] && other->calls[i]; i++) {
        if (one->calls[i] != 'a' || other->calls[i] == 'a' || shown++ >= NAMES_SHOWN)
            continue;
        const char *name = call_name(i);
        if (name)
            strv_append(&names, name);
        else
            strv_append_printf(&names, "number %u", i);
    }
    return names ? strv_join(names, ", ") : NULL;
}

/* Against the first that shares the host's kernel behind a filter: what people use today. */
static const struct subject_result *reference(const struct results *results)
{
    for (size_t i = 0; i < results->count; i++)
        if (results->subjects[i]->calls && subject_wall(results->subjects[i]) == WALL_SHARED)
            return results->subjects[i];
    return NULL;
}

static void calls_differences(const struct results *results, struct page *page)
{
    const struct subject_result *usual = reference(results);
    for (size_t i = 0; usual && i < results->count; i++) {
        const struct subject_result *subject = results->subjects[i];
        if (subject == usual || !subject->calls)
            continue;
        _cleanup_free_ char *more = names_between(subject, usual), *less = names_between(usual, subject);
        page_item(page, "answered by %s and not by %s: %s", subject->name, usual->name, more ?: "none");
        page_item(page, "answered by %s and not by %s: %s", usual->name, subject->name, less ?: "none");
    }
}

void report_isolation(const struct results *results, struct page *page)
{
    bool seen = false;
    for (size_t i = 0; i < results->count; i++)
        seen |= is_seen(results->subjects[i]);
    if (!seen)
        return;
    page_heading(page, 2, "What separates them");
    struct block *table = page_table(page, (char *[]){"runtime", "wall", "what it is", NULL});
    for (size_t i = 0; i < results->count; i++) {
        char **row = NULL;
        strv_append(&row, results->subjects[i]->name);
        strv_append(&row, wall_name(subject_wall(results->subjects[i])));
        strv_append(&row, results->subjects[i]->description ?: "");
        table_row(table, row);
    }
    evidence_table(results, page);
    reach_table(results, page);
    page_heading(page, 3, "The hardening drill");
    page_paragraph(page, "Every system call number was tried with arguments that the kernel refuses. "
                         "A call that is answered is code "
                         "that an attacker can talk to: of the host's kernel where the kernel is "
                         "shared, of a kernel that is thrown "
                         "away with the container where it is not.");
    calls_table(results, page);
    calls_differences(results, page);
}
