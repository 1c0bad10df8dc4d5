/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include "client/signals.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SILENT_MS 1500
#define REDRAW_MS 100

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void progress_begin(struct progress *progress, bool quiet)
{
    *progress = (struct progress){.quiet = quiet, .begun = now()};
}

static void draw(struct progress *progress, uint64_t done, uint64_t total)
{
    char amount[48] = "";

    if (total > 0)
        snprintf(amount, sizeof(amount), " %lu%%", (unsigned long)(done * 100 / total));
    else if (done > 0)
        snprintf(amount, sizeof(amount), " %.1f MiB", (double)done / (1 << 20));
    fprintf(stderr, "\r\033[K%s%s", progress->step, amount);
    fflush(stderr);
    progress->drawn = true;
}

static bool on_progress(void *context, const char *step, uint64_t done, uint64_t total)
{
    struct progress *progress = context;
    bool terminal = isatty(STDERR_FILENO), changed = strcmp(progress->step, step);
    int64_t time = now();

    if (signals_pending_end())
        return false;
    if (progress->quiet || time - progress->begun < SILENT_MS || (!changed && !terminal))
        return true;
    if (!changed && time - progress->last < REDRAW_MS)
        return true;
    progress->last = time;
    snprintf(progress->step, sizeof(progress->step), "%s", step);
    if (terminal)
        draw(progress, done, total);
    else
        fprintf(stderr, "%s\n", step);
    return true;
}

struct image_observer progress_observer(struct progress *progress)
{
    return (struct image_observer){.progress = on_progress, .context = progress};
}

void progress_end(struct progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}
