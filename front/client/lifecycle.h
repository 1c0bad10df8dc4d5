/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a container ends: the exit is recorded, the task deleted, the shim shut down, the bundle removed; and
 * with --rm the record goes too.
 *
 * Whoever holds the container's lock does this: the front end in the foreground, `caisson publish` for a
 * detached container, otherwise whoever comes by next (stop, rm, ps, run) and finds the container ended. It
 * may be done in parts by several, for each step also succeeds when it is done already.
 *
 * Files that the shim leaves in the bundle: `reason` says why a sandbox was lost, `oom` that the guest's
 * kernel ran out of memory for the container.
 */
#pragma once

#include "client/record.h"
#include "client/task.h"

/* The exit code of a container of which nobody can say how it ended; containerd uses it for the same. */
#define LIFECYCLE_LOST_STATUS 255

/* With the lock held. Records the exit and removes shim and bundle, and the record too where that was asked
   for. task: connected to the shim, or NULL where it is gone, which is cleaned up after. reason may be NULL.
 */
struct error *lifecycle_finish(const struct directories *directories, struct record *record,
    struct task *task, const struct task_exit *exit, const char *reason);

/* Looks how the container really is and brings the record up to that; one that has ended is finished. The
   lock is taken for that only: a mere look must not keep `publish` from it. Where another process holds it,
   waits up to `timeout` milliseconds for that one to be done; 0 leaves it to that one. After this `*record`
   says what is true, and is NULL where the record was removed. */
struct error *lifecycle_settle(
    const struct directories *directories, struct event_base *base, int timeout, struct record **record);

/* With the lock held. Ends whatever is left of it by force, and removes the record with all that belongs to
   it. */
struct error *lifecycle_remove(
    const struct directories *directories, struct event_base *base, struct record *record);

/* What the bundle adds to the record of a container that runs: whether it ran out of memory, and why it was
   lost. */
void lifecycle_read_bundle(const struct directories *directories, struct record *record);

/* Settles the containers whose shim is gone without a word, and removes bundles that have no record. Quick
   where there are none. */
struct error *lifecycle_sweep(const struct directories *directories, struct event_base *base);
