/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/device.h"

#include <stdlib.h>
#include <sys/eventfd.h>

static bool pop(struct virtio_device *device, struct virtqueue *queue, struct virtqueue_chain *chain)
{
    bool found;
    struct error *error = virtqueue_pop(queue, chain, &found);
    if (!error)
        return found;
    virtio_device_fail(device, error);
    return false;
}

bool virtio_device_next(struct virtio_device *device, unsigned queue, struct virtqueue_chain *chain)
{
    struct virtqueue *from = &device->queues[queue];
    if (device->state != VIRTIO_ACTIVE || !from->ready)
        return false;
    if (device->bus->budget == 0) {
        virtio_device_kick(device, queue);
        return false;
    }
    device->bus->budget--;
    if (pop(device, from, chain))
        return true;
    return device->state == VIRTIO_ACTIVE && virtqueue_expect(from) && pop(device, from, chain);
}

void virtio_device_publish(struct virtio_device *device, unsigned queue)
{
    if (device->queues[queue].ready && virtqueue_publish(&device->queues[queue]))
        device->transport_ops->interrupt(device->transport);
}

void virtio_device_kick(struct virtio_device *device, unsigned queue)
{
    eventfd_write(device->notify_fds[queue], 1);
}

void virtio_device_config_changed(struct virtio_device *device)
{
    if (device->transport)
        device->transport_ops->config_changed(device->transport);
}

void virtio_device_complain(struct virtio_device *device, const struct error *reason)
{
    if (device->complaints == VIRTIO_COMPLAINTS_MAX)
        return;
    device->complaints++;
    device->bus->failed(device->bus->context, device->ops->name, reason);
}

void virtio_device_fail(struct virtio_device *device, struct error *reason)
{
    if (device->state == VIRTIO_ACTIVE) {
        device->state = VIRTIO_FAILED;
        virtio_device_complain(device, reason);
        device->transport_ops->needs_reset(device->transport);
    }
    error_free(reason);
}

void virtio_device_activate(struct virtio_device *device)
{
    if (device->state != VIRTIO_IDLE)
        return;
    device->state = VIRTIO_ACTIVE;
    struct error *error = device->ops->activate ? device->ops->activate(device) : NULL;
    if (error)
        virtio_device_fail(device, error);
    for (unsigned i = 0; device->ops->notify && i < device->queue_count; i++)
        virtio_device_kick(device, i);
}

void virtio_device_reset(struct virtio_device *device)
{
    if (device->state != VIRTIO_IDLE && device->ops->reset)
        device->ops->reset(device);
    device->state = VIRTIO_IDLE;
    device->accepted = 0;
    for (unsigned i = 0; i < device->queue_count; i++)
        virtqueue_stop(&device->queues[i]);
}

void virtio_device_free(struct virtio_device *device)
{
    if (device)
        device->ops->free(device);
}
