/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running the programs that are measured. Times are from just before the process is made to the moment that
 * its end is known. Its output is always read, so that it never waits for the one who measures, and what it
 * leaves behind becomes this process's child (a subreaper's), to be found and ended.
 */
#pragma once

#include "base/error.h"
#include "base/process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One for the whole program: it takes SIGINT, SIGTERM and SIGHUP, which end what runs, and SIGCHLD, because a
   runtime may wait for the end of what became our child. */
struct launcher {
    int signals;              /* signalfd */
    bool interrupted;         /* somebody asked for the end */
    bool calm;                /* cleaning up: goes on all the same */
    process_prepare *prepare; /* in each program before it begins; NULL: nothing */
};

struct error *launcher_open(struct launcher *launcher);
void launcher_close(struct launcher *launcher);
/* Reads what signals have come, and says whether to stop. */
bool launcher_interrupted(struct launcher *launcher);
/* Passes time, less when a signal comes. */
void launcher_wait(struct launcher *launcher, int milliseconds);

/* CLOCK_MONOTONIC. */
double milliseconds_now(void);
/* In PATH, owned by the caller; NULL where it is not. */
char *program_find(const char *name);

struct launched {
    double milliseconds;
    int code;     /* exit code, or 128 + signal */
    char *output; /* its standard output, at most 1 MiB */
    char *errors; /* the end of its standard error */
};

void launched_clear(struct launched *launched);

/* Runs it to its end. CANCELLED after a signal, DEADLINE_EXCEEDED when it takes too long; it is killed then,
   with its process group. A bad exit code is no error here. */
struct error *launch(
    struct launcher *launcher, char *const *arguments, int limit_milliseconds, struct launched *ret_launched);
/* The same, where any exit code but 0 is an error that quotes what it said. */
struct error *launch_checked(
    struct launcher *launcher, char *const *arguments, int limit_milliseconds, struct launched *ret_launched);

/* For clearing up: goes on after a signal, and how it ends is no matter. */
void launch_calmly(struct launcher *launcher, char *const *arguments, int limit_milliseconds);

/* A process that goes on: started, and back when it has printed a line. */
struct kept {
    pid_t pid;          /* 0: none */
    int handle;         /* pidfd: it may end by itself at any time */
    int output, errors; /* open, so that it may go on writing a little; -1: it writes to /dev/null */
};

/* `line` NULL: it is not waited for, and says what it likes. */
struct error *keep(struct launcher *launcher, char *const *arguments, const char *line,
    int limit_milliseconds, struct kept *ret_kept);
/* Waits a moment for it to end, as its container has, unless it is to end at once; then kills it, and reaps
 * it. */
void kept_end(struct kept *kept, bool at_once);

/* ---- descendants ---- */

struct usage {
    double pss_mebibytes;
    double cpu_milliseconds;
    unsigned processes;
};

/* Of all that descends from this process; with a mark, of containerd's shims that have it among their
   arguments and of all that descends from those. */
struct usage descendants_usage(const char *mark);
/* Kills and reaps them all; returns how many there were. */
unsigned descendants_end(void);

/* Removes the cgroups that runtimes left of that process's containers, which have "compare-PID-" before their
   names. A runtime that removes a cgroup while the kernel still tidies up in it gives up, some without a
   word. */
void cgroups_sweep(struct launcher *launcher, pid_t owner);
