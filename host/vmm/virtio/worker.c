/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job goes from `queued` to a thread's `running` to `finished`, all under the pool's own lock, which nobody
 * holds while a job runs. Workers never take the bus's lock; so it is safe to wait for them with that held.
 */
#include "vmm/virtio/worker.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

TAILQ_HEAD(job_list, worker_job);

struct worker {
    struct worker_pool *pool;
    pthread_t thread;
    struct worker_job *running;
};

struct worker_pool {
    struct virtio_bus *bus;
    void (*begin)(void);
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something was queued, or finished, or it is over */
    bool over;
    struct job_list queued, finished;
    int finished_fd;
    struct virtio_watch *finished_watch;
    unsigned count;
    struct worker workers[];
};

static void run_next(struct worker *worker)
{
    struct worker_pool *pool = worker->pool;
    struct worker_job *job = worker->running = TAILQ_FIRST(&pool->queued);
    TAILQ_REMOVE(&pool->queued, job, entry);
    pthread_mutex_unlock(&pool->lock);
    job->run(job);
    pthread_mutex_lock(&pool->lock);
    worker->running = NULL;
    TAILQ_INSERT_TAIL(&pool->finished, job, entry);
    pthread_cond_broadcast(&pool->changed);
    eventfd_write(pool->finished_fd, 1);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct worker_pool *pool = worker->pool;
    if (pool->begin)
        pool->begin();
    pthread_mutex_lock(&pool->lock);
    while (!pool->over) {
        if (TAILQ_EMPTY(&pool->queued))
            pthread_cond_wait(&pool->changed, &pool->lock);
        else
            run_next(worker);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static struct worker_job *take_finished(struct worker_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct worker_job *job = TAILQ_FIRST(&pool->finished);
    if (job)
        TAILQ_REMOVE(&pool->finished, job, entry);
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void on_finished(void *context)
{
    struct worker_pool *pool = context;
    struct worker_job *job;
    eventfd_t count;
    eventfd_read(pool->finished_fd, &count);
    while ((job = take_finished(pool)))
        job->done(job);
}

static struct error *start_threads(struct worker_pool *pool, unsigned threads)
{
    for (; pool->count < threads; pool->count++) {
        struct worker *worker = &pool->workers[pool->count];
        worker->pool = pool;
        int result = pthread_create(&worker->thread, NULL, work, worker);
        if (result != 0)
            return error_errno(result, "a thread for the disks");
    }
    return NULL;
}

struct error *worker_pool_new(
    struct virtio_bus *bus, unsigned threads, void (*begin)(void), struct worker_pool **ret_pool)
{
    _cleanup_(worker_pool_free) struct worker_pool *pool =
        must_alloc(sizeof(*pool) + threads * sizeof(struct worker));
    pool->bus = bus;
    pool->begin = begin;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    TAILQ_INIT(&pool->queued);
    TAILQ_INIT(&pool->finished);
    pool->finished_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->finished_fd < 0)
        return error_errno(errno, "a descriptor for the disks' threads");
    TRY(virtio_watch_new(bus, pool->finished_fd, EV_READ, on_finished, pool, &pool->finished_watch));
    virtio_watch_enable(pool->finished_watch, true);
    TRY(start_threads(pool, threads));
    *ret_pool = TAKE_PTR(pool);
    return NULL;
}

void worker_pool_free(struct worker_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->over = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->count; i++)
        pthread_join(pool->workers[i].thread, NULL);
    virtio_watch_free(pool->finished_watch);
    close_fd(pool->finished_fd);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void worker_submit(struct worker_pool *pool, struct worker_job *job)
{
    pthread_mutex_lock(&pool->lock);
    TAILQ_INSERT_TAIL(&pool->queued, job, entry);
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

/* Whether a job runs: one of the owner, or, for NULL, any. */
static bool is_running(const struct worker_pool *pool, const void *owner)
{
    for (unsigned i = 0; i < pool->count; i++) {
        const struct worker_job *job = pool->workers[i].running;
        if (job && (!owner || job->owner == owner))
            return true;
    }
    return false;
}

static void drop_from(struct job_list *list, const void *owner, void (*dropped)(struct worker_job *job))
{
    struct worker_job *next;
    for (struct worker_job *job = TAILQ_FIRST(list); job; job = next) {
        next = TAILQ_NEXT(job, entry);
        if (job->owner != owner)
            continue;
        TAILQ_REMOVE(list, job, entry);
        dropped(job);
    }
}

void worker_cancel(struct worker_pool *pool, const void *owner, void (*dropped)(struct worker_job *job))
{
    pthread_mutex_lock(&pool->lock);
    drop_from(&pool->queued, owner, dropped);
    while (is_running(pool, owner))
        pthread_cond_wait(&pool->changed, &pool->lock);
    drop_from(&pool->finished, owner, dropped);
    pthread_mutex_unlock(&pool->lock);
}

void worker_settle(struct worker_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!TAILQ_EMPTY(&pool->queued) || is_running(pool, NULL))
        pthread_cond_wait(&pool->changed, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    virtio_bus_lock(pool->bus);
    on_finished(pool);
    virtio_bus_unlock(pool->bus);
}
