/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/bus.h"

#include <stdlib.h>

#define BUDGET 256

struct virtio_watch {
    struct virtio_bus *bus;
    struct virtio_watch *next;
    struct event *event;
    virtio_ready *ready;
    void *context;
    bool enabled;
    struct timeval after; /* of a timer */
};

struct virtio_bus *virtio_bus_new(
    struct event_base *base, struct guest_memory *memory, virtio_failed *failed, void *context)
{
    struct virtio_bus *bus = must_new(struct virtio_bus);
    *bus = (struct virtio_bus){.base = base, .memory = memory, .failed = failed, .context = context};
    pthread_mutex_init(&bus->lock, NULL);
    return bus;
}

void virtio_bus_free(struct virtio_bus *bus)
{
    if (!bus)
        return;
    pthread_mutex_destroy(&bus->lock);
    free(bus);
}

void virtio_bus_lock(struct virtio_bus *bus)
{
    pthread_mutex_lock(&bus->lock);
}

void virtio_bus_unlock(struct virtio_bus *bus)
{
    pthread_mutex_unlock(&bus->lock);
}

static void arm(struct virtio_watch *watch)
{
    bool is_timer = event_get_fd(watch->event) < 0;
    if (watch->enabled && !watch->bus->paused)
        event_add(watch->event, is_timer ? &watch->after : NULL);
    else
        event_del(watch->event);
}

static void set_paused(struct virtio_bus *bus, bool paused)
{
    virtio_bus_lock(bus);
    bus->paused = paused;
    for (struct virtio_watch *watch = bus->watches; watch; watch = watch->next)
        arm(watch);
    virtio_bus_unlock(bus);
}

void virtio_bus_pause(struct virtio_bus *bus)
{
    set_paused(bus, true);
}

void virtio_bus_resume(struct virtio_bus *bus)
{
    set_paused(bus, false);
}

static void on_event(evutil_socket_t fd, short what, void *context)
{
    struct virtio_watch *watch = context;
    struct virtio_bus *bus = watch->bus;
    virtio_bus_lock(bus);
    bus->budget = BUDGET;
    if (fd < 0)
        watch->enabled = false;
    watch->ready(watch->context);
    virtio_bus_unlock(bus);
}

struct error *virtio_watch_new(struct virtio_bus *bus, int fd, short what, virtio_ready *ready, void *context,
    struct virtio_watch **ret_watch)
{
    struct virtio_watch *watch = must_new(struct virtio_watch);
    *watch = (struct virtio_watch){.bus = bus, .next = bus->watches, .ready = ready, .context = context};
    watch->event = event_new(bus->base, fd, fd < 0 ? 0 : what | EV_PERSIST, on_event, watch);
    if (!watch->event) {
        free(watch);
        return error_new(ERROR_INTERNAL, "the event loop refused an event");
    }
    bus->watches = watch;
    *ret_watch = watch;
    return NULL;
}

struct error *virtio_timer_new(
    struct virtio_bus *bus, virtio_ready *ready, void *context, struct virtio_watch **ret_timer)
{
    return virtio_watch_new(bus, -1, 0, ready, context, ret_timer);
}

void virtio_watch_enable(struct virtio_watch *watch, bool enabled)
{
    if (watch->enabled == enabled)
        return;
    watch->enabled = enabled;
    arm(watch);
}

void virtio_watch_after(struct virtio_watch *timer, uint64_t microseconds)
{
    timer->after = (struct timeval){
        .tv_sec = (time_t)(microseconds / 1000000), .tv_usec = (suseconds_t)(microseconds % 1000000)};
    timer->enabled = true;
    arm(timer);
}

void virtio_watch_free(struct virtio_watch *watch)
{
    if (!watch)
        return;
    struct virtio_watch **link = &watch->bus->watches;
    while (*link != watch)
        link = &(*link)->next;
    *link = watch->next;
    event_free(watch->event);
    free(watch);
}
