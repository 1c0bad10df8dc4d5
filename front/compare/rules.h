/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From figures and evidence to advice, by rules that the report prints beside their verdicts. A rule looks at
 * nothing but the results, so the same JSON always gives the same advice.
 */
#pragma once

#include "compare/results.h"

/* What a runtime is worth in one respect, from what was seen of it. Emulation stands below a kernel in user
   space, which is made to be a wall: QEMU's makers say of emulation that nobody should rely on it for
   isolation (the chapter "Security" of its documentation, "Non-virtualization Use Case"). */
enum wall {
    WALL_NONE,     /* the host's kernel, no filter */
    WALL_SHARED,   /* the host's kernel behind namespaces and a filter */
    WALL_EMULATED, /* a kernel of its own behind an emulated machine */
    WALL_USER,     /* another kernel in user space */
    WALL_HARDWARE, /* a kernel of its own behind hardware virtualization */
};

/* A workload that somebody has to choose a runtime for. */
struct workload {
    const char *name;
    enum wall least;    /* what the isolation has to be at least */
    enum metric metric; /* among those, the best median of this one is first */
    double worst_ratio; /* against the best of all runtimes but the host: beyond it, the price is named */
    const char *why;    /* the rule in words */
};

#define WORKLOADS 6
extern const struct workload workloads[WORKLOADS];

struct verdict {
    const struct subject_result *choice; /* NULL: none of these runtimes will do */
    const struct subject_result *next;   /* the second best, or NULL */
    double ratio; /* of the choice to the best of all, in that metric; 0: no choice, -1: not even measured */
};

enum wall subject_wall(const struct subject_result *subject);
const char *wall_name(enum wall wall);
/* What is between a container and the host, and what who breaks it has then; in sentences. */
const char *wall_boundary(enum wall wall);
struct verdict workload_verdict(const struct results *results, const struct workload *workload);

/* Whether the choice and the next one do not differ beyond noise. */
bool verdict_is_tie(const struct verdict *verdict, const struct workload *workload);

/* Whether what was seen from inside agrees with what the runtime is said to be: NULL, or the contradiction in
   a sentence, owned by the caller. The host's own evidence is the measure. */
char *subject_contradiction(const struct results *results, const struct subject_result *subject);

/* Whether a runtime is the best of all in that metric, or not worse beyond noise. The host is no runtime. */
bool is_among_best(const struct results *results, const struct subject_result *subject, enum metric metric);
/* How many times the best runtime's median its own is; 0: not measured. The host is no runtime. */
double against_best(const struct results *results, const struct subject_result *subject, enum metric metric);
/* What a runtime is good for on this machine, in a sentence owned by the caller. */
char *subject_answer(const struct results *results, const struct subject_result *subject);

/* How many system call numbers are of that class ('a', 'n', 'p', 'k'); 0 where they were not tried. */
unsigned calls_count(const struct subject_result *subject, char class);
