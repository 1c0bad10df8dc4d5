/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/mmio.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/eventfd.h>

#define MAGIC 0x74726976u /* "virt" */
#define VERSION 2u
#define VENDOR 0x53494143u /* "CAIS" */
#define FEATURES_ALWAYS                                                               \
    (UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC | \
        UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

struct doorbell {
    struct virtio_mmio *mmio;
    unsigned queue;
    struct virtio_watch *watch;
};

struct virtio_mmio {
    struct virtio_device *device;
    int interrupt_fd;
    uint32_t status;
    uint32_t interrupts; /* VIRTIO_MMIO_INT_* not yet acknowledged */
    uint32_t generation;
    uint32_t queue;                    /* selected */
    unsigned offered_half, taken_half; /* of the features, selected */
    struct doorbell doorbells[VIRTIO_QUEUES_MAX];
};

static void raise_interrupt(struct virtio_mmio *mmio, uint32_t reason)
{
    mmio->interrupts |= reason;
    eventfd_write(mmio->interrupt_fd, 1);
}

static void interrupt(void *transport)
{
    raise_interrupt(transport, VIRTIO_MMIO_INT_VRING);
}

static void config_changed(void *transport)
{
    struct virtio_mmio *mmio = transport;
    mmio->generation++;
    if (mmio->status & VIRTIO_CONFIG_S_DRIVER_OK)
        raise_interrupt(mmio, VIRTIO_MMIO_INT_CONFIG);
}

static void needs_reset(void *transport)
{
    struct virtio_mmio *mmio = transport;
    mmio->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
    raise_interrupt(mmio, VIRTIO_MMIO_INT_CONFIG);
}

static const struct virtio_transport_ops transport_ops = {
    .interrupt = interrupt, .config_changed = config_changed, .needs_reset = needs_reset};

static void on_doorbell(void *context)
{
    struct doorbell *doorbell = context;
    struct virtio_device *device = doorbell->mmio->device;
    eventfd_t count;
    eventfd_read(device->notify_fds[doorbell->queue], &count);
    if (device->state == VIRTIO_ACTIVE)
        device->ops->notify(device, doorbell->queue);
}

static struct error *add_doorbell(struct virtio_mmio *mmio, unsigned queue)
{
    struct virtio_device *device = mmio->device;
    struct doorbell *doorbell = &mmio->doorbells[queue];
    *doorbell = (struct doorbell){.mmio = mmio, .queue = queue};
    int fd = device->notify_fds[queue] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return error_errno(errno, "a descriptor for notifications of %s", device->ops->name);
    if (!device->ops->notify)
        return NULL;
    TRY(virtio_watch_new(device->bus, fd, EV_READ, on_doorbell, doorbell, &doorbell->watch));
    virtio_watch_enable(doorbell->watch, true);
    return NULL;
}

struct error *virtio_mmio_new(struct virtio_device *device, int interrupt_fd, struct virtio_mmio **ret_mmio)
{
    _cleanup_(virtio_mmio_free) struct virtio_mmio *mmio = must_new(struct virtio_mmio);
    *mmio = (struct virtio_mmio){.device = device, .interrupt_fd = interrupt_fd};
    device->transport_ops = &transport_ops;
    device->transport = mmio;
    for (unsigned i = 0; i < device->queue_count; i++)
        device->notify_fds[i] = -1;
    for (unsigned i = 0; i < device->queue_count; i++)
        TRY(add_doorbell(mmio, i));
    *ret_mmio = TAKE_PTR(mmio);
    return NULL;
}

void virtio_mmio_free(struct virtio_mmio *mmio)
{
    if (!mmio)
        return;
    struct virtio_device *device = mmio->device;
    virtio_device_reset(device);
    device->transport = NULL;
    for (unsigned i = 0; i < device->queue_count; i++) {
        virtio_watch_free(mmio->doorbells[i].watch);
        close_fd(TAKE_FD(device->notify_fds[i]));
    }
    free(mmio);
}

unsigned virtio_mmio_queue_count(const struct virtio_mmio *mmio)
{
    return mmio->device->queue_count;
}

int virtio_mmio_notify_fd(const struct virtio_mmio *mmio, unsigned queue)
{
    return mmio->device->notify_fds[queue];
}

static uint64_t offered(const struct virtio_mmio *mmio)
{
    return mmio->device->features | FEATURES_ALWAYS;
}

static struct virtqueue *selected_queue(struct virtio_mmio *mmio)
{
    return mmio->queue < mmio->device->queue_count ? &mmio->device->queues[mmio->queue] : NULL;
}

static uint32_t read_register(struct virtio_mmio *mmio, uint64_t offset)
{
    const struct virtqueue *queue = selected_queue(mmio);
    switch (offset) {
    case VIRTIO_MMIO_MAGIC_VALUE:
        return MAGIC;
    case VIRTIO_MMIO_VERSION:
        return VERSION;
    case VIRTIO_MMIO_DEVICE_ID:
        return mmio->device->ops->id;
    case VIRTIO_MMIO_VENDOR_ID:
        return VENDOR;
    case VIRTIO_MMIO_DEVICE_FEATURES:
        return mmio->offered_half > 1 ? 0 : (uint32_t)(offered(mmio) >> 32 * mmio->offered_half);
    case VIRTIO_MMIO_QUEUE_NUM_MAX:
        return queue ? VIRTQUEUE_SIZE_MAX : 0;
    case VIRTIO_MMIO_QUEUE_READY:
        return queue && queue->ready;
    case VIRTIO_MMIO_INTERRUPT_STATUS:
        return mmio->interrupts;
    case VIRTIO_MMIO_STATUS:
        return mmio->status;
    case VIRTIO_MMIO_CONFIG_GENERATION:
        return mmio->generation;
    case VIRTIO_MMIO_SHM_LEN_LOW:
    case VIRTIO_MMIO_SHM_LEN_HIGH: /* no such region */
    case VIRTIO_MMIO_SHM_BASE_LOW:
    case VIRTIO_MMIO_SHM_BASE_HIGH:
        return UINT32_MAX;
    default:
        return 0;
    }
}

static void reset(struct virtio_mmio *mmio)
{
    virtio_device_reset(mmio->device);
    mmio->status = mmio->interrupts = 0;
    mmio->queue = mmio->offered_half = mmio->taken_half = 0;
}

static bool features_fit(const struct virtio_mmio *mmio)
{
    return virtio_device_has(mmio->device, VIRTIO_F_VERSION_1) &&
           (mmio->device->accepted & ~offered(mmio)) == 0;
}

/* The driver only adds bits, apart from 0, which resets. What the device decides stays. */
static void write_status(struct virtio_mmio *mmio, uint32_t value)
{
    if (value == 0) {
        reset(mmio);
        return;
    }
    mmio->status |= value & (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FAILED);
    if (value & VIRTIO_CONFIG_S_FEATURES_OK && features_fit(mmio))
        mmio->status |= VIRTIO_CONFIG_S_FEATURES_OK;
    if (value & VIRTIO_CONFIG_S_DRIVER_OK && mmio->status & VIRTIO_CONFIG_S_FEATURES_OK) {
        mmio->status |= VIRTIO_CONFIG_S_DRIVER_OK;
        virtio_device_activate(mmio->device);
    }
}

static void write_features(struct virtio_mmio *mmio, uint32_t value)
{
    unsigned shift = 32 * mmio->taken_half;
    uint64_t *accepted = &mmio->device->accepted;
    if (mmio->taken_half <= 1 && !(mmio->status & VIRTIO_CONFIG_S_FEATURES_OK))
        *accepted = (*accepted & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)value << shift;
}

/* What cannot be a queue stays not ready, which a driver may read back or not. */
static void write_ready(struct virtio_mmio *mmio, struct virtqueue *queue, uint32_t value)
{
    struct virtio_device *device = mmio->device;
    if (value == 0)
        virtqueue_stop(queue);
    if (value != 1 || !(mmio->status & VIRTIO_CONFIG_S_FEATURES_OK))
        return;
    _cleanup_error_ struct error *error =
        virtqueue_start(queue, device->bus->memory, virtio_device_has(device, VIRTIO_RING_F_EVENT_IDX));
    if (!error)
        return;
    virtio_device_complain(device, error);
    needs_reset(mmio);
}

static void set_half(uint64_t *address, bool high, uint32_t value)
{
    *address =
        high ? (*address & UINT32_MAX) | (uint64_t)value << 32 : (*address & ~(uint64_t)UINT32_MAX) | value;
}

/* Only while the device is idle; a queue that is in use stays as it is. */
static void write_queue_register(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
    struct virtqueue *queue = selected_queue(mmio);
    if (!queue || mmio->device->state != VIRTIO_IDLE)
        return;
    switch (offset) {
    case VIRTIO_MMIO_QUEUE_READY:
        write_ready(mmio, queue, value);
        return;
    case VIRTIO_MMIO_QUEUE_NUM:
        queue->size = value <= VIRTQUEUE_SIZE_MAX ? (uint16_t)value : 0;
        return;
    case VIRTIO_MMIO_QUEUE_DESC_LOW:
    case VIRTIO_MMIO_QUEUE_DESC_HIGH:
        set_half(&queue->descriptors, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
        return;
    case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
    case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
        set_half(&queue->available, offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
        return;
    case VIRTIO_MMIO_QUEUE_USED_LOW:
    case VIRTIO_MMIO_QUEUE_USED_HIGH:
        set_half(&queue->used, offset == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
        return;
    default:
        return;
    }
}

static void write_register(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
        mmio->offered_half = value;
        return;
    case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
        mmio->taken_half = value;
        return;
    case VIRTIO_MMIO_DRIVER_FEATURES:
        write_features(mmio, value);
        return;
    case VIRTIO_MMIO_QUEUE_SEL:
        mmio->queue = value;
        return;
    case VIRTIO_MMIO_QUEUE_NOTIFY:
        if (value < mmio->device->queue_count)
            virtio_device_kick(mmio->device, value);
        return;
    case VIRTIO_MMIO_INTERRUPT_ACK:
        mmio->interrupts &= ~value;
        return;
    case VIRTIO_MMIO_STATUS:
        write_status(mmio, value);
        return;
    default:
        write_queue_register(mmio, offset, value);
        return;
    }
}

static void access_config(
    struct virtio_device *device, uint64_t offset, void *data, unsigned length, bool is_write)
{
    if (offset > device->config_size || length > device->config_size - offset)
        return;
    if (!is_write)
        memcpy(data, (const uint8_t *)device->config + offset, length);
    else if (device->ops->configure)
        device->ops->configure(device, offset, data, length);
}

void virtio_mmio_access(struct virtio_mmio *mmio, uint64_t offset, void *data, unsigned length, bool is_write)
{
    uint32_t value;
    if (!is_write)
        memset(data, 0, length);
    virtio_bus_lock(mmio->device->bus);
    if (offset >= VIRTIO_MMIO_CONFIG) {
        access_config(mmio->device, offset - VIRTIO_MMIO_CONFIG, data, length, is_write);
    } else if (length == sizeof(value) && is_write) {
        memcpy(&value, data, sizeof(value));
        write_register(mmio, offset, value);
    } else if (length == sizeof(value)) {
        value = read_register(mmio, offset);
        memcpy(data, &value, sizeof(value));
    }
    virtio_bus_unlock(mmio->device->bus);
}
