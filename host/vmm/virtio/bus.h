/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all devices of a machine share: the event loop, the guest's memory, and one lock.
 *
 * Two kinds of threads touch a device: a vCPU that reads and writes its registers, and the I/O thread, which
 * runs the event loop. virtio_mmio_access takes the lock, and so does every callback of a watch: the code of
 * a device runs with the lock held and never sees it. Watches are changed in the I/O thread only; so a vCPU
 * that starts a device writes to the notification descriptor of each queue, and a vCPU that resets one
 * changes its state and leaves its watches to find that out.
 */
#pragma once

#include "vmm/virtio/memory.h"

#include <event2/event.h>
#include <pthread.h>

struct virtio_watch;

/* Called when a device is stopped because of what the guest or a peer did, the first times that this happens
   (VIRTIO_COMPLAINTS_MAX of device.h); the reason is borrowed. Runs with the bus locked, in any thread. */
typedef void virtio_failed(void *context, const char *device, const struct error *reason);

struct virtio_bus {
    struct event_base *base;
    struct guest_memory *memory;
    virtio_failed *failed;
    void *context;
    pthread_mutex_t lock;
    unsigned budget; /* chains that may still be taken at this wake-up, so that no guest keeps the thread */
    bool paused;
    struct virtio_watch *watches;
};

/* Base and memory are borrowed and outlive the bus. */
struct virtio_bus *virtio_bus_new(
    struct event_base *base, struct guest_memory *memory, virtio_failed *failed, void *context);
/* After all of its devices. Takes NULL. */
void virtio_bus_free(struct virtio_bus *bus);
void virtio_bus_lock(struct virtio_bus *bus);
void virtio_bus_unlock(struct virtio_bus *bus);
/* While the bus is paused no watch calls back, so no device takes up anything new. In the I/O thread. */
void virtio_bus_pause(struct virtio_bus *bus);
void virtio_bus_resume(struct virtio_bus *bus);

DEFINE_CLEANUP(struct virtio_bus *, virtio_bus_free);

/* A descriptor whose readiness (EV_READ or EV_WRITE, level-triggered) calls back in the I/O thread with the
   bus locked. It begins disabled. The descriptor is borrowed. */
typedef void virtio_ready(void *context);
struct error *virtio_watch_new(struct virtio_bus *bus, int fd, short what, virtio_ready *ready, void *context,
    struct virtio_watch **ret_watch);
/* The same for a timer, which calls back once after each virtio_watch_after. */
struct error *virtio_timer_new(
    struct virtio_bus *bus, virtio_ready *ready, void *context, struct virtio_watch **ret_timer);
void virtio_watch_enable(struct virtio_watch *watch, bool enabled);
void virtio_watch_after(struct virtio_watch *timer, uint64_t microseconds);
/* May be called from the watch's own callback. Takes NULL. */
void virtio_watch_free(struct virtio_watch *watch);
