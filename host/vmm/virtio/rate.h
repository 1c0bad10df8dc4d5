/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a guest may go: so many bytes and operations a second, and so many at once after a pause.
 *
 * A bucket may go into debt: what is begun is done in full, and the debt is waited for before the next. So a
 * request larger than the burst passes, and the mean is kept.
 */
#pragma once

#include "vmm/virtio/device.h"

/* Zero is no limit. A burst of zero is what a tenth of a second brings. */
struct rate_limit {
    uint64_t bytes_per_second, bytes_burst;
    uint64_t operations_per_second, operations_burst;
};

/* What one queue of a device may take. NULL stands for no limit in all calls. */
struct rate;
/* *ret_rate is NULL where the limit limits nothing. */
struct error *rate_new(
    struct virtio_device *device, unsigned queue, const struct rate_limit *limit, struct rate **ret_rate);
void rate_free(struct rate *rate);
/* Whether the queue has to wait; then it is kicked when that is over. In the I/O thread. */
bool rate_holds(struct rate *rate);
/* One operation of so many bytes. */
void rate_charge(struct rate *rate, uint64_t bytes);

/* The bucket itself, with the clock outside. Levels are in millionths, times in microseconds. */
struct rate_bucket {
    uint64_t per_second, burst;
    int64_t level;
    uint64_t filled_at;
};
struct rate_bucket rate_bucket_full(uint64_t per_second, uint64_t burst, uint64_t now);
/* Fills up to now, and says how long it will be in debt or empty; 0: it is not. */
uint64_t rate_bucket_delay(struct rate_bucket *bucket, uint64_t now);
void rate_bucket_charge(struct rate_bucket *bucket, uint64_t amount);
