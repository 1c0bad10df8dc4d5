/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's side of a virtio device, played in plain memory: registers through the MMIO transport, rings as
 * Linux's drivers lay them out, and whatever a hostile guest may write into them.
 */
#pragma once

#include "vmm/virtio/mmio.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/eventfd.h>

#define DRIVER_MEMORY (UINT64_C(4) << 20)
#define DRIVER_QUEUE_SIZE 64
#define DRIVER_RINGS 0x10000u    /* queue i: descriptors here + i * 0x4000, then the rings */
#define DRIVER_BUFFERS 0x100000u /* for the test's own use, up to the end */

struct driver_queue {
    uint16_t next_descriptor, offered, seen;
};

struct driver {
    struct event_base *base;
    struct guest_memory *memory;
    struct virtio_bus *bus;
    struct virtio_device *device;
    struct virtio_mmio *mmio;
    int interrupt_fd;
    unsigned failures;
    char failure[256]; /* the last reason */
    struct driver_queue queues[VIRTIO_QUEUES_MAX];
};

/* A piece of a chain. */
struct driver_part {
    uint64_t address;
    uint32_t length;
    bool writable;
};

static inline void driver_on_failed(void *context, const char *device, const struct error *reason)
{
    struct driver *driver = context;
    driver->failures++;
    snprintf(driver->failure, sizeof(driver->failure), "%s: %s", device, error_message(reason));
}

static inline struct error *driver_open(struct driver *driver, bool shared)
{
    *driver = (struct driver){.base = event_base_new(), .interrupt_fd = eventfd(0, EFD_NONBLOCK)};
    TRY(guest_memory_new(DRIVER_MEMORY, shared, &driver->memory));
    driver->bus = virtio_bus_new(driver->base, driver->memory, driver_on_failed, driver);
    return NULL;
}

static inline struct error *driver_attach(struct driver *driver, struct virtio_device *device)
{
    driver->device = device;
    return virtio_mmio_new(device, driver->interrupt_fd, &driver->mmio);
}

static inline void driver_close(struct driver *driver)
{
    virtio_mmio_free(driver->mmio);
    virtio_device_free(driver->device);
    virtio_bus_free(driver->bus);
    guest_memory_free(driver->memory);
    event_base_free(driver->base);
    close(driver->interrupt_fd);
}

static inline uint32_t driver_read(struct driver *driver, uint64_t offset)
{
    uint32_t value;
    virtio_mmio_access(driver->mmio, offset, &value, sizeof(value), false);
    return value;
}

static inline void driver_write(struct driver *driver, uint64_t offset, uint32_t value)
{
    virtio_mmio_access(driver->mmio, offset, &value, sizeof(value), true);
}

static inline void *driver_at(struct driver *driver, uint64_t address)
{
    return driver->memory->regions[0].host + address;
}

static inline uint64_t driver_ring(unsigned queue)
{
    return DRIVER_RINGS + queue * 0x4000u;
}

static inline struct vring_desc *driver_descriptors(struct driver *driver, unsigned queue)
{
    return driver_at(driver, driver_ring(queue));
}

static inline struct vring_avail *driver_available(struct driver *driver, unsigned queue)
{
    return driver_at(driver, driver_ring(queue) + 0x1000);
}

static inline struct vring_used *driver_used(struct driver *driver, unsigned queue)
{
    return driver_at(driver, driver_ring(queue) + 0x2000);
}

static inline void driver_set_queue(struct driver *driver, unsigned queue)
{
    static const struct vring_avail empty;
    driver->queues[queue] = (struct driver_queue){0};
    memcpy(driver_available(driver, queue), &empty, sizeof(empty));
    memcpy(driver_used(driver, queue), &empty, sizeof(empty));
    driver_write(driver, VIRTIO_MMIO_QUEUE_SEL, queue);
    driver_write(driver, VIRTIO_MMIO_QUEUE_NUM, DRIVER_QUEUE_SIZE);
    driver_write(driver, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)driver_ring(queue));
    driver_write(driver, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)driver_ring(queue) + 0x1000);
    driver_write(driver, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)driver_ring(queue) + 0x2000);
    driver_write(driver, VIRTIO_MMIO_QUEUE_READY, 1);
}

/* Reset, the features that both know, all queues, DRIVER_OK. */
static inline void driver_start(struct driver *driver, uint64_t features)
{
    features |= UINT64_C(1) << VIRTIO_F_VERSION_1;
    driver_write(driver, VIRTIO_MMIO_STATUS, 0);
    driver_write(driver, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    for (unsigned half = 0; half < 2; half++) {
        driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
        driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32 * half));
    }
    driver_write(driver, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_FEATURES_OK);
    for (unsigned i = 0; i < virtio_mmio_queue_count(driver->mmio); i++)
        driver_set_queue(driver, i);
    driver_write(driver, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Puts a head into the available ring, whatever it names. */
static inline void driver_offer_head(struct driver *driver, unsigned queue, uint16_t head)
{
    struct vring_avail *available = driver_available(driver, queue);
    available->ring[driver->queues[queue].offered++ % DRIVER_QUEUE_SIZE] = head;
    __atomic_store_n(&available->idx, driver->queues[queue].offered, __ATOMIC_RELEASE);
}

/* Offers a chain of these parts; returns its head. Descriptors are taken round and round. */
static inline uint16_t driver_offer(
    struct driver *driver, unsigned queue, const struct driver_part *parts, unsigned count)
{
    struct vring_desc *table = driver_descriptors(driver, queue);
    uint16_t *next = &driver->queues[queue].next_descriptor, head = *next;
    for (unsigned i = 0; i < count; i++) {
        uint16_t index = *next;
        *next = (uint16_t)((*next + 1) % DRIVER_QUEUE_SIZE);
        table[index] = (struct vring_desc){.addr = parts[i].address,
            .len = parts[i].length,
            .flags = (uint16_t)((i + 1 < count ? VRING_DESC_F_NEXT : 0) |
                                (parts[i].writable ? VRING_DESC_F_WRITE : 0)),
            .next = *next};
    }
    driver_offer_head(driver, queue, head);
    return head;
}

static inline void driver_notify(struct driver *driver, unsigned queue)
{
    driver_write(driver, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

/* Runs what is ready to run. */
static inline void driver_turn(struct driver *driver)
{
    event_base_loop(driver->base, EVLOOP_NONBLOCK);
}

/* Whether the device has given something back since driver_take last took it. */
static inline bool driver_has_used(struct driver *driver, unsigned queue)
{
    return __atomic_load_n(&driver_used(driver, queue)->idx, __ATOMIC_ACQUIRE) != driver->queues[queue].seen;
}

static inline struct vring_used_elem driver_take(struct driver *driver, unsigned queue)
{
    return driver_used(driver, queue)->ring[driver->queues[queue].seen++ % DRIVER_QUEUE_SIZE];
}

/* How many interrupts since the last call. */
static inline uint64_t driver_interrupts(struct driver *driver)
{
    eventfd_t count;
    return eventfd_read(driver->interrupt_fd, &count) == 0 ? count : 0;
}

static inline bool driver_is_stopped(struct driver *driver)
{
    return driver_read(driver, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}
