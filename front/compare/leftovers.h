/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run leaves behind that was killed. A run that ends by itself, or is asked to end, leaves nothing.
 * One that is killed is survived by a guard (guard.h), which clears up at once; where that was killed as
 * well, the next run does it. Nobody has to remember anything for that: directory, network names and
 * containerd namespace of a run carry its process id, and the directory and the namespace its start time,
 * too.
 */
#pragma once

#include "compare/launch.h"

/* "PID-STARTTIME", what tells one run from every other of this boot. */
struct owner {
    pid_t pid;
    unsigned long long start; /* in ticks since boot, /proc/PID/stat field 22 */
};

#define WORK_PREFIX "caisson-compare."

struct owner owner_self(void);
/* "caisson-compare.PID-START.XXXXXX" for mkdtemp, "caisson-compare-PID-START" for a namespace; both owned by
   the caller. */
char *owner_directory(struct owner owner, const char *above);
char *owner_namespace(struct owner owner);
/* Pure: from the last part of such a directory's path, or from such a namespace. False where it is none. */
bool owner_parse(const char *name, struct owner *ret_owner);
/* Whether that very process still runs. */
bool owner_lives(struct owner owner);

/* Says that the run of this directory lives, for as long as the descriptor is open: who sweeps from another
   pid namespace does not see its process. */
struct error *leftovers_claim(const char *directory, int *ret_lock);

/* Clears up after dead runs of this user: processes, mounts, cgroups and directories below `above`, and with
   an address their namespaces in containerd. Returns how many runs there were. */
unsigned leftovers_sweep(struct launcher *launcher, const char *above, const char *containerd);
