/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/timings.h"

#include "base/fd.h"
#include "base/json.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#define FILE_LIMIT 65536
#define FILE_NAME "timings.json"

static void add(struct timings *timings, const char *origin, const char *name, uint64_t at)
{
    if (timings->count == TIMINGS_MAX)
        return;
    struct timing *mark = &timings->marks[timings->count++];
    snprintf(mark->name, sizeof(mark->name), "%s%s", origin, name);
    mark->at = at;
}

void timings_mark(struct timings *timings, const char *name)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    add(timings, "caisson: ", name, (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

static struct error *add_phases(struct timings *timings, const json_t *document)
{
    json_t *phases = NULL, *phase;
    size_t index;

    TRY(json_get_array(document, FILE_NAME, "phases", &phases));
    json_array_foreach (phases, index, phase) {
        const char *name = "?";
        int64_t at = 0;
        TRY(json_get_string(phase, FILE_NAME, "name", &name));
        TRY(json_get_integer(phase, FILE_NAME, "monotonic_us", 0, INT64_MAX, &at));
        add(timings, "shim: ", name, (uint64_t)at);
    }
    return NULL;
}

void timings_read_bundle(struct timings *timings, const char *bundle)
{
    _cleanup_free_ char *path = must_printf("%s/" FILE_NAME, bundle);
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *document = NULL;
    size_t length;

    struct error *error = file_read(AT_FDCWD, path, FILE_LIMIT, &text, &length);
    if (!error)
        error = json_read(FILE_NAME, text, length, &document);
    if (!error)
        error = add_phases(timings, document);
    error_free(error); /* then the table is shorter */
}

static int by_time(const void *one, const void *other)
{
    uint64_t a = ((const struct timing *)one)->at, b = ((const struct timing *)other)->at;
    return (a > b) - (a < b);
}

void timings_print(struct timings *timings)
{
    qsort(timings->marks, timings->count, sizeof(timings->marks[0]), by_time);
    fprintf(stderr, "%-40s %12s %12s\n", "PHASE", "AT", "AFTER");
    for (size_t i = 0; i < timings->count; i++) {
        uint64_t at = timings->marks[i].at;
        uint64_t before = timings->marks[i > 0 ? i - 1 : 0].at;
        fprintf(stderr, "%-40s %9.1f ms %9.1f ms\n", timings->marks[i].name,
            (double)(at - timings->marks[0].at) / 1000, (double)(at - before) / 1000);
    }
}
