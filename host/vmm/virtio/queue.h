/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The split virtqueue, seen from the device (virtio 1.2, section 2.7): the one reader of rings.
 *
 * A chain of descriptors is copied once, the copy is checked (count, loops, indirect tables, directions,
 * every address through the door of memory.h), and what comes out are iovecs: readable ones that the driver
 * filled, and writable ones for us to fill. An error means that the guest broke the rules; the device is then
 * stopped (virtio_device_fail) until the driver resets it.
 */
#pragma once

#include "vmm/virtio/memory.h"

#include <sys/uio.h>

#define VIRTQUEUE_SIZE_MAX 256
/* What used elements can report, and no driver of ours comes near. */
#define VIRTQUEUE_BYTES_MAX UINT32_C(0x40000000)

/* One request of the driver: readable parts first, then the writable ones. */
struct virtqueue_chain {
    uint16_t head; /* names the chain when it is given back */
    unsigned readable_count, writable_count;
    size_t readable_bytes, writable_bytes;
    struct iovec *writable; /* into `vector`, behind the readable ones */
    struct iovec vector[VIRTQUEUE_SIZE_MAX];
};

struct virtqueue {
    /* Set by the transport while the queue is not ready. */
    uint16_t size; /* a power of two, at most VIRTQUEUE_SIZE_MAX */
    uint64_t descriptors, available, used;

    /* The rest belongs to queue.c; all zero while not ready. */
    bool ready, event_index;
    const struct guest_memory *memory;
    uint8_t *descriptor_table, *available_ring, *used_ring;
    uint16_t next_available; /* chains taken */
    uint16_t next_used;      /* chains given back, published or not */
    uint16_t published;      /* chains given back that the driver can see */
};

/* Checks addresses and size and makes the queue ready. `event_index`: VIRTIO_F_EVENT_IDX was negotiated. */
struct error *virtqueue_start(struct virtqueue *queue, const struct guest_memory *memory, bool event_index);
void virtqueue_stop(struct virtqueue *queue);

/* Takes the next chain; *ret_found is false, and the chain untouched, where the driver has offered none.
   Never more chains than the queue has entries are taken and not given back. */
struct error *virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain, bool *ret_found);
/* Puts the last `count` chains that were taken back as if they had not been. */
void virtqueue_unpop(struct virtqueue *queue, unsigned count);
/* To be called when there is nothing left to take: asks the driver to notify us of the next chain. True: one
   has come meanwhile. */
bool virtqueue_expect(struct virtqueue *queue);
/* Gives a chain back with so many bytes written; the driver sees it after virtqueue_publish. */
void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written);
/* Shows the driver all that was pushed; true: it wants an interrupt for it. */
bool virtqueue_publish(struct virtqueue *queue);

/* Copies out of the readable parts, from `offset` on; returns how many bytes there were. */
size_t chain_read(const struct virtqueue_chain *chain, size_t offset, void *buffer, size_t length);
/* Copies into the writable parts, from `offset` on; returns how many bytes fitted. */
size_t chain_write(const struct virtqueue_chain *chain, size_t offset, const void *data, size_t length);
/* The part of an iovec array from `offset` on, at most `length` bytes of it; returns how many elements it
   has, at most `count`. */
unsigned iovec_slice(
    const struct iovec *from, unsigned count, size_t offset, size_t length, struct iovec *to);
