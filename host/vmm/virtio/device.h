/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What virtio devices have in common, apart from how the guest reaches them (mmio.h). bus.h says which thread
 * may do what.
 */
#pragma once

#include "vmm/virtio/bus.h"
#include "vmm/virtio/queue.h"

#define VIRTIO_QUEUES_MAX 8

struct virtio_device;

/* All calls run with the bus locked. Only `notify` and `free` may touch watches. */
struct virtio_device_ops {
    const char *name; /* "blk" */
    uint32_t id;      /* linux/virtio_ids.h */
    /* The driver has accepted features and set up queues. NULL: nothing to do. */
    struct error *(*activate)(struct virtio_device *device);
    /* The driver offers chains in a queue, or has just activated the device. Takes chains with
       virtio_device_next until that says no. NULL: somebody else listens on the notification descriptors. */
    void (*notify)(struct virtio_device *device, unsigned queue);
    /* Back to the state before `activate`, which it follows. When it returns, nothing of the device touches
       guest memory any more. NULL: there is no state. */
    void (*reset)(struct virtio_device *device);
    /* The driver wrote to the configuration, within its size. NULL: it is read-only. */
    void (*configure)(struct virtio_device *device, size_t offset, const void *data, size_t length);
    /* Frees what the device has, and the device. */
    void (*free)(struct virtio_device *device);
};

/* How a device speaks to its transport. */
struct virtio_transport_ops {
    void (*interrupt)(void *transport);      /* for a queue */
    void (*config_changed)(void *transport); /* the driver reads the configuration again */
    void (*needs_reset)(void *transport);
};

/*
 * What the driver may do, and what the device does, by state:
 *   IDLE    set up features and queues; nothing of the device runs
 *   ACTIVE  offer chains; chains are taken and given back
 *   FAILED  nothing but reset; no chain is taken, those under way may still be given back
 */
enum virtio_state { VIRTIO_IDLE, VIRTIO_ACTIVE, VIRTIO_FAILED };

/* The first member of each device's own struct, which sets the first part. */
struct virtio_device {
    const struct virtio_device_ops *ops;
    struct virtio_bus *bus;
    uint64_t features; /* offered, besides VERSION_1, INDIRECT_DESC and EVENT_IDX */
    unsigned queue_count;
    void *config; /* the configuration space, little-endian; part of the device */
    size_t config_size;

    /* Kept by device.c and the transport. */
    enum virtio_state state;
    unsigned complaints;
    uint64_t accepted;
    struct virtqueue queues[VIRTIO_QUEUES_MAX];
    int notify_fds[VIRTIO_QUEUES_MAX];
    const struct virtio_transport_ops *transport_ops;
    void *transport;
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
/* Has `notify` called for the queue, soon, as if the driver had notified it. From any thread. */
void virtio_device_kick(struct virtio_device *device, unsigned queue);
/* After a change of the configuration space. */
void virtio_device_config_changed(struct virtio_device *device);
/* Stops an active device until the driver resets it (DEVICE_NEEDS_RESET). Takes the reason. */
void virtio_device_fail(struct virtio_device *device, struct error *reason);
/* After its transport. Takes NULL. */
void virtio_device_free(struct virtio_device *device);

/* For transports: tells the bus's owner of something that the guest did. A guest can repeat that for ever, so
   of one device it is told so often and no more. */
#define VIRTIO_COMPLAINTS_MAX 16u
void virtio_device_complain(struct virtio_device *device, const struct error *reason);
/* For transports. Activation and reset are idempotent. */
void virtio_device_activate(struct virtio_device *device);
void virtio_device_reset(struct virtio_device *device);

DEFINE_CLEANUP(struct virtio_device *, virtio_device_free);
