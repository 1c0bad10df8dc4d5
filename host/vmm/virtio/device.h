/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What virtio devices have in common, apart from how the guest reaches them (mmio.h).
 *
 * Two kinds of threads touch a device: a vCPU that reads and writes its registers, and the I/O thread, which
 * runs the event loop. The bus has one lock for all of its devices. virtio_mmio_access takes it, and so does
 * every callback of a watch: the code of a device runs with the lock held and never sees it. Watches are
 * changed in the I/O thread only; so a vCPU that starts a device writes to the notification descriptor of
 * each queue, and a vCPU that resets one changes its state and leaves its watches to find that out.
 */
#pragma once

#include "vmm/virtio/queue.h"

#include <event2/event.h>
#include <pthread.h>

#define VIRTIO_QUEUES_MAX 8

struct virtio_bus;
struct virtio_device;

/* Called once a time that a device is stopped because of what the guest or a peer did; the reason is
   borrowed. Runs with the bus locked. */
typedef void virtio_failed(void *context, const char *device, const struct error *reason);

/* Base and memory are borrowed and outlive the bus. */
struct virtio_bus *virtio_bus_new(
    struct event_base *base, struct guest_memory *memory, virtio_failed *failed, void *context);
/* After all of its devices. Takes NULL. */
void virtio_bus_free(struct virtio_bus *bus);
/* While the bus is paused no watch calls back. I/O that is under way ends, or is waited for, first. */
void virtio_bus_pause(struct virtio_bus *bus);
void virtio_bus_resume(struct virtio_bus *bus);

/* A descriptor whose readiness (EV_READ, EV_WRITE; both level-triggered) calls back in the I/O thread, with
   the bus locked. It starts disabled. */
struct virtio_watch;
typedef void virtio_ready(void *context);
struct error *virtio_watch_new(struct virtio_bus *bus, int fd, short what, virtio_ready *ready, void *context,
    struct virtio_watch **ret_watch);
void virtio_watch_enable(struct virtio_watch *watch, bool enabled);
/* Takes NULL. */
void virtio_watch_free(struct virtio_watch *watch);

/* All calls run with the bus locked. Only `notify` (where it is NULL somebody else listens on the
   descriptors) and `free` may touch watches. */
struct virtio_device_ops {
    const char *name; /* "blk" */
    uint32_t id;      /* linux/virtio_ids.h */
    /* The driver has accepted features and set up queues. */
    struct error *(*activate)(struct virtio_device *device);
    /* The driver offers chains in a queue, or has just activated the device. Takes them with
       virtio_device_next until that says no. */
    void (*notify)(struct virtio_device *device, unsigned queue);
    /* Back to the state before `activate`; when it returns, nothing touches guest memory any more. Always
       follows a successful `activate`. */
    void (*reset)(struct virtio_device *device);
    /* The driver wrote to the configuration; already checked to lie within. NULL: it is read-only. */
    void (*configure)(struct virtio_device *device, size_t offset, const void *data, size_t length);
    void (*free)(struct virtio_device *device);
};

/* The first member of each device's own struct; that sets the first part and clears the rest. */
struct virtio_device {
    const struct virtio_device_ops *ops;
    struct virtio_bus *bus;
    uint64_t features; /* what is offered, besides VERSION_1, INDIRECT_DESC and EVENT_IDX */
    unsigned queue_count;
    void *config; /* the configuration space, little-endian, part of the device */
    size_t config_size;

    /* device.c and the transport keep these. */
    struct virtqueue queues[VIRTIO_QUEUES_MAX];
    int notify_fds[VIRTIO_QUEUES_MAX];
    unsigned budget; /* chains that this notification may still take, so that no guest keeps the thread */
    uint64_t accepted;
    bool active; /* between activate and reset, and not failed */
    const struct virtio_transport_ops *transport_ops;
    void *transport;
};

/* How a device speaks to its transport. */
struct virtio_transport_ops {
    void (*interrupt)(void *transport);      /* for a queue */
    void (*config_changed)(void *transport); /* the driver reads the configuration again */
    void (*needs_reset)(void *transport);
};

static inline bool virtio_device_has(const struct virtio_device *device, unsigned feature)
{
    return device->accepted >> feature & 1;
}

/* The next chain of a queue; false: there is none now, or the device is not active. A chain that breaks the
   rules fails the device. */
bool virtio_device_next(struct virtio_device *device, unsigned queue, struct virtqueue_chain *chain);
/* Shows the driver what was pushed, and interrupts it where it wants that. */
void virtio_device_publish(struct virtio_device *device, unsigned queue);
/* Has `notify` called for the queue, soon, as if the driver had done it. From any thread. */
void virtio_device_kick(struct virtio_device *device, unsigned queue);
void virtio_device_config_changed(struct virtio_device *device);
/* Stops the device until the driver resets it (DEVICE_NEEDS_RESET). Takes the reason. */
void virtio_device_fail(struct virtio_device *device, struct error *reason);
/* Takes NULL. After its transport. */
void virtio_device_free(struct virtio_device *device);

DEFINE_CLEANUP(struct virtio_device *, virtio_device_free);
