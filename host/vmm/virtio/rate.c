/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/rate.h"

#include <time.h>

#define MILLION INT64_C(1000000)
/* So that no level overflows: 2^42 a second, and as much at once, in millionths. */
#define AMOUNT_MAX (UINT64_C(1) << 42)

struct rate {
    struct virtio_device *device;
    unsigned queue;
    struct rate_bucket bytes, operations;
    struct virtio_watch *timer;
};

static uint64_t smaller(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

struct rate_bucket rate_bucket_full(uint64_t per_second, uint64_t burst, uint64_t now)
{
    per_second = smaller(per_second, AMOUNT_MAX);
    burst = smaller(burst ? burst : per_second / 10 + 1, AMOUNT_MAX);
    return (struct rate_bucket){
        .per_second = per_second, .burst = burst, .level = (int64_t)burst * MILLION, .filled_at = now};
}

uint64_t rate_bucket_delay(struct rate_bucket *bucket, uint64_t now)
{
    if (bucket->per_second == 0)
        return 0;
    uint64_t elapsed = now - bucket->filled_at;
    uint64_t missing = (uint64_t)((int64_t)bucket->burst * MILLION - bucket->level);
    if (elapsed > missing / bucket->per_second)
        bucket->level = (int64_t)bucket->burst * MILLION;
    else
        bucket->level += (int64_t)(elapsed * bucket->per_second);
    bucket->filled_at = now;
    return bucket->level > 0 ? 0 : (uint64_t)-bucket->level / bucket->per_second + 1;
}

void rate_bucket_charge(struct rate_bucket *bucket, uint64_t amount)
{
    bucket->level -= (int64_t)smaller(amount, AMOUNT_MAX / 2) * MILLION;
}

static uint64_t microseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * (uint64_t)MILLION + (uint64_t)now.tv_nsec / 1000;
}

static void on_refilled(void *context)
{
    struct rate *rate = context;
    virtio_device_kick(rate->device, rate->queue);
}

struct error *rate_new(
    struct virtio_device *device, unsigned queue, const struct rate_limit *limit, struct rate **ret_rate)
{
    if (limit->bytes_per_second == 0 && limit->operations_per_second == 0) {
        *ret_rate = NULL;
        return NULL;
    }
    uint64_t now = microseconds_now();
    struct rate *rate = must_new(struct rate);
    *rate = (struct rate){.device = device,
        .queue = queue,
        .bytes = rate_bucket_full(limit->bytes_per_second, limit->bytes_burst, now),
        .operations = rate_bucket_full(limit->operations_per_second, limit->operations_burst, now)};
    struct error *error = virtio_timer_new(device->bus, on_refilled, rate, &rate->timer);
    if (error) {
        free(rate);
        return error;
    }
    *ret_rate = rate;
    return NULL;
}

void rate_free(struct rate *rate)
{
    if (!rate)
        return;
    virtio_watch_free(rate->timer);
    free(rate);
}

bool rate_holds(struct rate *rate)
{
    if (!rate)
        return false;
    uint64_t now = microseconds_now();
    uint64_t bytes = rate_bucket_delay(&rate->bytes, now);
    uint64_t operations = rate_bucket_delay(&rate->operations, now);
    uint64_t delay = bytes > operations ? bytes : operations;
    if (delay > 0)
        virtio_watch_after(rate->timer, delay);
    return delay > 0;
}

void rate_charge(struct rate *rate, uint64_t bytes)
{
    if (!rate)
        return;
    rate_bucket_charge(&rate->bytes, bytes);
    rate_bucket_charge(&rate->operations, 1);
}
