/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured: one row of the report each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum metric_group {
    GROUP_STARTUP,
    GROUP_SYSCALLS,
    GROUP_CPU,
    GROUP_FILES,
    GROUP_NETWORK,
    GROUP_MEMORY,
    GROUP_DENSITY, /* takes long: only when asked for */
    GROUP_COUNT
};

enum metric {
    METRIC_RUN,
    METRIC_CREATE,
    METRIC_START,
    METRIC_EXEC,
    METRIC_DELETE,
    METRIC_GETPPID,
    METRIC_OPEN,
    METRIC_FORK,
    METRIC_PIPE,
    METRIC_FAULT,
    METRIC_WALK,
    METRIC_INTEGER,
    METRIC_FLOAT,
    METRIC_COPY,
    METRIC_SYSBENCH,
    METRIC_ROOT_WRITE,
    METRIC_ROOT_READ,
    METRIC_ROOT_RANDOM_READ,
    METRIC_ROOT_RANDOM_WRITE,
    METRIC_VOLUME_WRITE,
    METRIC_VOLUME_READ,
    METRIC_VOLUME_RANDOM_READ,
    METRIC_VOLUME_RANDOM_WRITE,
    METRIC_FIO_ROOT_WRITE,
    METRIC_FIO_ROOT_READ,
    METRIC_FIO_ROOT_RANDOM_READ,
    METRIC_FIO_ROOT_RANDOM_WRITE,
    METRIC_FIO_VOLUME_WRITE,
    METRIC_FIO_VOLUME_READ,
    METRIC_FIO_VOLUME_RANDOM_READ,
    METRIC_FIO_VOLUME_RANDOM_WRITE,
    METRIC_HTTP_LATENCY,
    METRIC_HTTP_RATE,
    METRIC_HTTP_LOAD,
    METRIC_APP_READY,
    METRIC_APP_LATENCY,
    METRIC_APP_LOAD,
    METRIC_IDLE_MEMORY,
    METRIC_IDLE_CPU,
    METRIC_DENSITY_STARTED,
    METRIC_DENSITY_PSS,
    METRIC_DENSITY_AVAILABLE,
    METRIC_DENSITY_FIT,
    METRIC_COUNT
};

struct metric_description {
    const char *id; /* in the JSON: "startup.run"; never changes its meaning */
    enum metric_group group;
    const char *title; /* "start to exit" */
    const char *unit;
    bool higher_is_better;
    const char *probe_key; /* the member of the probe's answer that it comes from, or NULL */
    double scale;          /* from the probe's unit to this one; 0: they are the same */
};

extern const struct metric_description metrics[METRIC_COUNT];

struct group_description {
    const char *id; /* for --only */
    const char *title;
    const char *how; /* what was done, in a sentence */
};

extern const struct group_description groups[GROUP_COUNT];

/* METRIC_COUNT or GROUP_COUNT where there is none. */
enum metric metric_by_id(const char *id);
enum metric_group group_by_id(const char *id);
