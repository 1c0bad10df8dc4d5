/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/rng.h"

#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Of one request: Linux asks for 64 bytes or less. getrandom() never fails or falls short up to 256. */
#define BYTES_MAX 256

static void rng_notify(struct virtio_device *device, unsigned queue)
{
    struct virtqueue_chain chain;
    uint8_t bytes[BYTES_MAX];
    while (virtio_device_next(device, queue, &chain)) {
        size_t length = chain.writable_bytes < sizeof(bytes) ? chain.writable_bytes : sizeof(bytes);
        ssize_t got = getrandom(bytes, length, 0);
        size_t written = got > 0 ? chain_write(&chain, 0, bytes, (size_t)got) : 0;
        virtqueue_push(&device->queues[queue], chain.head, (uint32_t)written);
    }
    explicit_bzero(bytes, sizeof(bytes));
    virtio_device_publish(device, queue);
}

static void rng_free(struct virtio_device *device)
{
    free(device);
}

static const struct virtio_device_ops rng_ops = {
    .name = "rng", .id = VIRTIO_ID_RNG, .notify = rng_notify, .free = rng_free};

struct virtio_device *rng_new(struct virtio_bus *bus)
{
    struct virtio_device *device = must_new(struct virtio_device);
    *device = (struct virtio_device){.ops = &rng_ops, .bus = bus, .queue_count = 1};
    return device;
}
