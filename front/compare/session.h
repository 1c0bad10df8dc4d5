/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measuring itself. It is done in passes: in one pass every runtime does one part (starting, files, ...)
 * once, in an order that rotates, so that what else the machine does falls on all alike. Which part comes
 * next depends on how often each was done, and whether it still fits into the time that was given.
 */
#pragma once

#include "compare/network_space.h"
#include "compare/subject.h"

struct session_options {
    unsigned rounds;            /* so many samples of a start; of what takes longer there are fewer */
    double budget_milliseconds; /* since session.begun: no pass begins that would end later; 0: no end */
    int limit_milliseconds;     /* of a single run, after which it is stopped */
    bool groups[GROUP_COUNT];   /* which are measured */
    bool evidence;
    uint64_t file_bytes; /* size of the file that is written and read */
    unsigned density;    /* how many containers at once, at most; 0: not measured */
    unsigned seconds;    /* how long sysbench and wrk go on */
};

/* What goes on, for a person: runtime and what is done, and how far of all. */
typedef void session_progress(void *context, const char *subject, const char *doing, double done);

#define SESSION_PARTS 8

struct part_progress {
    unsigned passes;
    double milliseconds; /* of the last one */
};

struct session {
    const struct session_options *options;
    struct results *results;
    struct subject **subjects;
    size_t count;
    struct launcher *launcher;
    session_progress *progress;
    void *context;
    double begun; /* milliseconds_now() when the whole began */
    unsigned steps, steps_done;
    struct part_progress parts[SESSION_PARTS];
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
void measure_sysbench(struct session *session, struct subject *subject, bool counts);
void measure_fio(struct session *session, struct subject *subject, bool counts);
/* Pure: "write", "read" in MB/s and "random_read", "random_write" in operations a second, from fio's JSON. */
struct error *fio_read(const char *output, json_t **ret_answer);
void measure_density(struct session *session, struct subject *subject);

/* For them: runs something in a fresh container to its end; its output is the caller's. */
struct error *run_inside(
    struct session *session, struct subject *subject, const struct purpose *purpose, char **ret_output);
/* The probe, whose answer is read. */
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

/* Says of these metrics what makes them unlike the others', or why there is none; the first word counts. */
void subject_note(struct subject *subject, enum metric first, enum metric last, const char *note);
/* What is not the same everywhere, so that the report has to say it: what a root file system lies on, and
   what carries the packets. */
const char *root_place(const struct subject *subject);
const char *network_path(const struct subject *subject);
/* Where a container will be asked: at loopback, or through containerd in a network of its own. The space is
   closed by the caller, also where it is empty. */
struct error *find_place(struct session *session, const struct subject *subject,
    struct network_space *ret_space, struct endpoint *ret_endpoint);
/* wrk against what serves there; the rate goes to the metric. */
void measure_load(struct session *session, struct subject *subject, const struct endpoint *endpoint,
    enum metric metric, bool counts);
