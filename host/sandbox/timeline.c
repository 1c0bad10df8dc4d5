/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/timeline.h"

#include "base/memory.h"
#include "base/strv.h"

#include <stdlib.h>
#include <time.h>

uint64_t timeline_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void timeline_mark(struct timeline *timeline, const char *name)
{
    timeline_mark_at(timeline, name, timeline_now());
}

void timeline_mark_at(struct timeline *timeline, const char *name, uint64_t at)
{
    if (timeline->count < TIMELINE_MAX)
        timeline->marks[timeline->count++] = (struct timeline_mark){.name = name, .at = at};
}

static int compare_marks(const void *one, const void *other)
{
    uint64_t a = ((const struct timeline_mark *)one)->at;
    uint64_t b = ((const struct timeline_mark *)other)->at;
    return (a > b) - (a < b);
}

char *timeline_json(const struct timeline *timeline)
{
    struct timeline sorted = *timeline;
    _cleanup_strv_ char **phases = NULL;
    qsort(sorted.marks, sorted.count, sizeof(*sorted.marks), compare_marks);
    for (size_t i = 0; i < sorted.count; i++)
        strv_append_printf(&phases, "{\"name\": \"%s\", \"monotonic_us\": %llu}", sorted.marks[i].name,
            (unsigned long long)sorted.marks[i].at);
    _cleanup_free_ char *list = strv_join(phases, ",\n  ");
    return must_printf("{\"phases\": [\n  %s\n]}\n", list);
}
