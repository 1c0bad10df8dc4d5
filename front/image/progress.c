/* SPDX-License-Identifier: Apache-2.0 */
#include "image/progress.h"

enum { REPORT_INTERVAL_MILLISECONDS = 100 };

static uint64_t now_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void progress_clear(struct progress *progress)
{
    free(progress->step);
    progress->step = NULL;
}

struct error *progress_report(struct progress *progress)
{
    progress->reported = now_milliseconds();
    const struct image_observer *observer = progress->observer;
    if (!observer || !observer->progress ||
        observer->progress(observer->context, progress->step, progress->done, progress->total))
        return NULL;
    return error_new(ERROR_CANCELLED, "stopped while %s", progress->step);
}

struct error *progress_step(struct progress *progress, uint64_t total, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *step = must_vprintf(format, arguments);
    va_end(arguments);
    free(progress->step);
    progress->step = step;
    progress->done = 0;
    progress->total = total;
    return progress_report(progress);
}

struct error *progress_add(struct progress *progress, uint64_t bytes)
{
    progress->done += bytes;
    if (now_milliseconds() - progress->reported < REPORT_INTERVAL_MILLISECONDS)
        return NULL;
    return progress_report(progress);
}
