/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio over MMIO, version 2 (virtio 1.2, section 4.2): the registers through which a guest finds a device,
 * sets it up and notifies it.
 */
#pragma once

#include "vmm/virtio/device.h"

/* Bytes of address space that the registers take; the configuration space begins at 0x100. */
#define VIRTIO_MMIO_SIZE 0x1000u
/* Where a queue's notification is written; as KVM_IOEVENTFD is told: length 4, datamatch the queue's number.
 */
#define VIRTIO_MMIO_NOTIFY 0x50u

struct virtio_mmio;

/* The device is borrowed and outlives its transport. Interrupts are written to interrupt_fd (an eventfd, for
   KVM_IRQFD, edge-triggered), borrowed as well. Call in the I/O thread. */
struct error *virtio_mmio_new(struct virtio_device *device, int interrupt_fd, struct virtio_mmio **ret_mmio);
/* Takes NULL. */
void virtio_mmio_free(struct virtio_mmio *mmio);

/* An access of the guest, at an offset from the beginning of the registers: data holds `length` bytes (1, 2,
   4 or 8) as the guest has them in memory. Any access is harmless: reads of what is not there give zeros,
   writes to it are ignored. From any thread. */
void virtio_mmio_access(
    struct virtio_mmio *mmio, uint64_t offset, void *data, unsigned length, bool is_write);

/* How many queues the device has, and the eventfd of each, to be bound by KVM_IOEVENTFD; borrowed. */
unsigned virtio_mmio_queue_count(const struct virtio_mmio *mmio);
int virtio_mmio_notify_fd(const struct virtio_mmio *mmio, unsigned queue);

DEFINE_CLEANUP(struct virtio_mmio *, virtio_mmio_free);
