/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that one comparison found: the machine, the runtimes, each single sample, and what was seen from
 * inside. It is what the JSON file holds, and reports are made from nothing else, so that every figure can be
 * traced.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "compare/metric.h"
#include "compare/statistics.h"

#include <stdint.h>

#define RESULTS_SCHEMA 1
#define SAMPLES_MAX 100000
#define SUBJECTS_MAX 16

struct series {
    double *values;
    size_t count;
    unsigned failures;
    char *failure; /* the last one's sentence, or NULL */
    char *note;    /* what makes it unlike the others, or why it was not measured; or NULL */
};

struct subject_result {
    char *name;          /* "runc", "runsc-systrap", "caisson-qemu-tcg" */
    char *version;       /* one line */
    char *description;   /* what separates a container from the host here, in a sentence */
    bool own_kernel;     /* the container's kernel is not the host's */
    bool hardware;       /* hardware virtualization is the wall */
    char *unusable;      /* why it could not run; NULL where it could */
    char *stopped;       /* why it was left out from some moment on: it hung; or NULL */
    json_t *evidence;    /* the probe's, or NULL */
    int64_t http_status; /* of the application's last answer, else the probe's; 0: nobody asked */
    char *calls;         /* a letter for each system call number, as the probe gives them; or NULL */
    struct series series[METRIC_COUNT];
};

struct results {
    char *started;      /* RFC 3339 */
    char *command;      /* as it was called */
    char *version;      /* of this program */
    char *via;          /* "containerd 1.6.20": what started the containers; NULL: the runtimes themselves */
    int64_t file_bytes; /* size of the file that was written and read */
    json_t *machine;
    int64_t rounds;
    bool interrupted;
    struct subject_result *subjects[SUBJECTS_MAX];
    size_t count;
};

struct results *results_new(void);
/* Owned by the results. */
struct subject_result *results_add(struct results *results, const char *name);
/* NULL where there is none. */
struct subject_result *results_find(const struct results *results, const char *name);
/* Takes NULL. */
void results_free(struct results *results);
DEFINE_CLEANUP(struct results *, results_free);
#define _cleanup_results_ _cleanup_(results_free)

void series_add(struct series *series, double value);
/* Counts a failure and takes the error. */
void series_fail(struct series *series, struct error *error);
struct summary series_summary(const struct series *series);
/* Whether any runtime has samples or failures of it. */
bool results_have(const struct results *results, enum metric metric);
/* Or at least a reason why there is none, which stands in the report, too. */
bool results_mention(const struct results *results, enum metric metric);

/* The whole document, owned by the caller. */
char *results_write(const struct results *results);
/* A document that results_write wrote, perhaps by another version of the same schema. `name` is for errors.
 */
struct error *results_read(const char *name, const char *text, size_t length, struct results **ret_results);
