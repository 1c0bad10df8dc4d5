/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/balloon.h"

#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <stddef.h>
#include <string.h>

#define PAGE UINT64_C(4096)
/* Of one chain, as Linux has it (VIRTIO_BALLOON_ARRAY_PFNS_MAX). Each may cost a system call, and all devices
   wait for them. */
#define PAGES_MAX 256u

/* Linux numbers the queues of the features that it has taken without gaps; so reporting is the third. */
enum { INFLATE, DEFLATE, REPORT, QUEUES };

struct balloon {
    struct virtio_device device;
    struct virtio_balloon_config config;
};

static struct balloon *balloon_of(struct virtio_device *device)
{
    return (struct balloon *)device;
}

static struct error *discard_pages(const struct guest_memory *memory, uint64_t first, uint64_t count)
{
    void *slice;
    TRY(guest_memory_slice(memory, first * PAGE, count * PAGE, &slice));
    return guest_memory_discard(memory, slice, count * PAGE);
}

/* Neighbours go together: the guest gives its pages in descending order or ascending, mostly. */
static struct error *discard_numbers(const struct guest_memory *memory, const uint32_t *numbers, size_t count)
{
    for (size_t i = 0; i < count;) {
        uint64_t low = numbers[i], high = numbers[i];
        for (i++; i < count && (numbers[i] + UINT64_C(1) == low || numbers[i] == high + 1); i++) {
            low = numbers[i] < low ? numbers[i] : low;
            high = numbers[i] > high ? numbers[i] : high;
        }
        TRY(discard_pages(memory, low, high - low + 1));
    }
    return NULL;
}

/* A chain of page numbers to give back. */
static struct error *inflate(const struct guest_memory *memory, const struct virtqueue_chain *chain)
{
    uint32_t numbers[PAGES_MAX];
    if (chain->readable_bytes > sizeof(numbers))
        return error_new(ERROR_INVALID_ARGUMENT, "more than %u pages in a chain", PAGES_MAX);
    size_t length = chain_read(chain, 0, numbers, sizeof(numbers));
    return discard_numbers(memory, numbers, length / sizeof(numbers[0]));
}

/* A chain of free pages; what becomes of them is ours to say until we give the chain back. */
static struct error *report(const struct guest_memory *memory, const struct virtqueue_chain *chain)
{
    for (unsigned i = 0; i < chain->writable_count; i++)
        TRY(guest_memory_discard(memory, chain->writable[i].iov_base, chain->writable[i].iov_len));
    return NULL;
}

static void balloon_notify(struct virtio_device *device, unsigned queue)
{
    const struct guest_memory *memory = device->bus->memory;
    struct virtqueue_chain chain;
    while (virtio_device_next(device, queue, &chain)) {
        struct error *error = queue == INFLATE  ? inflate(memory, &chain)
                              : queue == REPORT ? report(memory, &chain)
                                                : NULL;
        if (error) {
            virtio_device_fail(device, error);
            return;
        }
        virtqueue_push(&device->queues[queue], chain.head, 0);
    }
    virtio_device_publish(device, queue);
}

static void balloon_configure(struct virtio_device *device, size_t offset, const void *data, size_t length)
{
    struct balloon *balloon = balloon_of(device);
    if (offset == offsetof(struct virtio_balloon_config, actual) && length == sizeof(balloon->config.actual))
        memcpy(&balloon->config.actual, data, length);
}

static void balloon_reset(struct virtio_device *device)
{
    balloon_of(device)->config.actual = 0;
}

static void balloon_free(struct virtio_device *device)
{
    free(device);
}

static const struct virtio_device_ops balloon_ops = {.name = "balloon",
    .id = VIRTIO_ID_BALLOON,
    .notify = balloon_notify,
    .reset = balloon_reset,
    .configure = balloon_configure,
    .free = balloon_free};

struct virtio_device *balloon_new(struct virtio_bus *bus, bool reports)
{
    struct balloon *balloon = must_new(struct balloon);
    balloon->device = (struct virtio_device){.ops = &balloon_ops,
        .bus = bus,
        .features = UINT64_C(1) << VIRTIO_BALLOON_F_DEFLATE_ON_OOM | (uint64_t)reports
                                                                         << VIRTIO_BALLOON_F_REPORTING,
        .queue_count = reports ? QUEUES : REPORT,
        .config = &balloon->config,
        .config_size = sizeof(balloon->config)};
    return &balloon->device;
}

void balloon_set_target(struct virtio_device *device, uint64_t bytes)
{
    virtio_bus_lock(device->bus);
    balloon_of(device)->config.num_pages = (uint32_t)(bytes / PAGE);
    virtio_device_config_changed(device);
    virtio_bus_unlock(device->bus);
}

uint64_t balloon_size(struct virtio_device *device)
{
    virtio_bus_lock(device->bus);
    uint64_t pages = balloon_of(device)->config.actual;
    virtio_bus_unlock(device->bus);
    return pages * PAGE;
}
