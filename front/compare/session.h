/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measuring itself: rounds in which every runtime does everything once, in an order that rotates, so that
 * what else the machine does falls on all alike. The first round warms up and is not counted.
 */
#pragma once

#include "compare/subject.h"

struct session_options {
    unsigned rounds;
    bool groups[GROUP_COUNT]; /* which are measured */
    bool evidence;
    uint64_t file_bytes; /* size of the file that is written and read */
    unsigned density;    /* how many containers at once, at most; 0: not measured */
    bool load;           /* wrk as well, where it is */
};

/* What goes on, for a person: runtime and what is done, and how far of all. */
typedef void session_progress(void *context, const char *subject, const char *doing, double done);

struct session {
    const struct session_options *options;
    struct results *results;
    struct subject **subjects;
    size_t count;
    struct launcher *launcher;
    session_progress *progress;
    void *context;
    unsigned steps, steps_done;
};

/* Fills the results of the subjects. Failures are counted there; after a signal it stops early and the
   results say so. Nothing that it started is left. */
void session_run(struct session *session);

/* ---- parts, one file each; each does one thing once with one subject ---- */

void measure_evidence(struct session *session, struct subject *subject);
void measure_startup(struct session *session, struct subject *subject, bool counts);
void measure_work(struct session *session, struct subject *subject, bool counts);
void measure_files(struct session *session, struct subject *subject, bool counts);
void measure_network(struct session *session, struct subject *subject, bool counts);
void measure_idle(struct session *session, struct subject *subject, bool counts);
void measure_application(struct session *session, struct subject *subject, bool counts);
void measure_density(struct session *session, struct subject *subject);

/* For them: runs the probe in a fresh container and reads its answer. */
struct error *run_probe(
    struct session *session, struct subject *subject, const struct purpose *purpose, json_t **ret_answer);
/* A container that goes on; `*ret_id` is the caller's. */
struct error *keep_probe(struct session *session, struct subject *subject, const struct purpose *purpose,
    struct kept *ret_kept, char **ret_id);
void end_probe(struct subject *subject, struct kept *kept, const char *id);
/* Takes the members that belong to the group's metrics from the answer. */
void take_answer(
    struct subject *subject, const json_t *answer, enum metric first, enum metric last, bool counts);
/* A failure of all metrics from first to last. Takes the error; an interruption is none. */
void take_failure(struct subject *subject, struct error *error, enum metric first, enum metric last);

/* What carries the packets, which is not the same everywhere: the report has to say it. */
const char *network_path(const struct subject *subject);

#define RUN_LIMIT_MILLISECONDS 60000
