/* SPDX-License-Identifier: Apache-2.0 */
/* How many idle containers a machine holds, told by what each further one costs: none is guessed from one. */
#include "compare/session.h"

#include "base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define SETTLE_MILLISECONDS 200
#define MEMINFO_LIMIT 65536
/* What is left to the machine, which has other things to do. */
#define MEMORY_SHARE 0.5

struct crowd {
    struct kept *members;
    char **ids;
    size_t count;
    double free_before;    /* MemAvailable in MiB, nobody there */
    double pss, available; /* at the last look */
};

static double available_mebibytes(void)
{
    _cleanup_free_ char *text = NULL;
    long kibibytes = 0;
    struct error *error = file_read(AT_FDCWD, "/proc/meminfo", MEMINFO_LIMIT, &text, NULL);
    const char *line = error ? NULL : strstr(text, "MemAvailable:");
    error_free(error);
    return line && sscanf(line, "MemAvailable: %ld", &kibibytes) == 1 ? (double)kibibytes / 1024 : 0;
}

static struct error *add_member(struct session *session, struct subject *subject, struct crowd *crowd)
{
    char *const command[] = {(char[]){"hold"}, NULL};
    struct kept kept = {0};
    char *id = NULL;
    TRY(keep_probe(session, subject, &(struct purpose){.command = command}, &kept, &id));
    crowd->members = must_resize(crowd->members, crowd->count + 1, sizeof(*crowd->members));
    crowd->ids = must_resize(crowd->ids, crowd->count + 1, sizeof(*crowd->ids));
    crowd->members[crowd->count] = kept;
    crowd->ids[crowd->count++] = id;
    return NULL;
}

/* Every further one is a sample: what others do with the memory meanwhile falls on few of them. */
static void look(struct session *session, const struct subject *subject, struct crowd *crowd)
{
    struct series *series = subject->result->series;
    launcher_wait(session->launcher, SETTLE_MILLISECONDS);
    double pss = descendants_usage(subject->mark).pss_mebibytes, available = available_mebibytes();
    if (crowd->count > 1 && !session->launcher->interrupted) {
        series_add(&series[METRIC_DENSITY_PSS], pss - crowd->pss);
        series_add(&series[METRIC_DENSITY_AVAILABLE], crowd->available - available);
    }
    crowd->pss = pss;
    crowd->available = available;
}

static bool has_room(const struct session *session, const struct crowd *crowd)
{
    return crowd->count < session->options->density && !session->launcher->interrupted &&
           (crowd->count == 0 || crowd->available > crowd->free_before * (1 - MEMORY_SHARE));
}

static void conclude(struct subject *subject, const struct crowd *crowd)
{
    struct series *series = subject->result->series;
    double lost = series_summary(&series[METRIC_DENSITY_AVAILABLE]).median;
    double pss = series_summary(&series[METRIC_DENSITY_PSS]).median;
    double dearer = lost > pss ? lost : pss;
    if (crowd->count < 2)
        return;
    series_add(&series[METRIC_DENSITY_STARTED], (double)crowd->count);
    if (dearer > 0)
        series_add(&series[METRIC_DENSITY_FIT], crowd->free_before / dearer);
}

static void disperse(struct subject *subject, struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++) {
        subject->ops->end(subject, crowd->ids[i]);
        kept_end(&crowd->members[i], subject->ops->is_plain);
        free(crowd->ids[i]);
    }
    free(crowd->members);
    free(crowd->ids);
    descendants_end();
}

void measure_density(struct session *session, struct subject *subject)
{
    struct crowd crowd = {.free_before = available_mebibytes()};
    struct error *error = NULL;
    while (!error && has_room(session, &crowd)) {
        error = add_member(session, subject, &crowd);
        if (!error)
            look(session, subject, &crowd);
    }
    conclude(subject, &crowd);
    if (error)
        take_failure(subject, error, METRIC_DENSITY_STARTED, METRIC_DENSITY_STARTED);
    disperse(subject, &crowd);
}
