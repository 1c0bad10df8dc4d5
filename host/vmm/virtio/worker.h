/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads for system calls that wait for a disk, so that neither vCPUs nor the I/O thread do.
 */
#pragma once

#include "vmm/virtio/bus.h"

#include <sys/queue.h>

/* Part of whatever it is a job of. */
struct worker_job {
    void (*run)(struct worker_job *job);  /* in a worker, without the bus's lock */
    void (*done)(struct worker_job *job); /* afterwards, in the I/O thread with the bus locked */
    const void *owner;
    TAILQ_ENTRY(worker_job) entry;
};

struct worker_pool;

/* Starts the threads; each calls `begin` first, where it is not NULL. */
struct error *worker_pool_new(
    struct virtio_bus *bus, unsigned threads, void (*begin)(void), struct worker_pool **ret_pool);
/* Waits for the jobs that run. After all devices that use it. Takes NULL. */
void worker_pool_free(struct worker_pool *pool);
void worker_submit(struct worker_pool *pool, struct worker_job *job);
/* Takes back all jobs of an owner: waits for those that run, and hands each to `dropped` instead of its
   `done`. From any thread, with the bus locked. */
void worker_cancel(struct worker_pool *pool, const void *owner, void (*dropped)(struct worker_job *job));
/* Waits until nothing is left to run, and has all jobs done. In the I/O thread; before a snapshot. */
void worker_settle(struct worker_pool *pool);

DEFINE_CLEANUP(struct worker_pool *, worker_pool_free);
