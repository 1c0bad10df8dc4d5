/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three tables lie in guest memory: descriptors, the available ring (driver to device) and the used ring
 * (device to driver). Their addresses pass the door once, when the queue starts; memory never moves after.
 * Indexes count for ever and wrap at 2^16; a ring entry is the index modulo the size.
 *
 * The guest writes while we read. So an index is loaded once (acquire: the entries behind it are then there
 * to see), a descriptor is copied before it is looked at, and nothing that was checked is read again. A chain
 * may have as many descriptors as the queue has entries, those of an indirect table included, which ends
 * loops.
 */
#include "vmm/virtio/queue.h"

#include <inttypes.h>
#include <linux/virtio_ring.h>
#include <string.h>

struct indirect {
    const uint8_t *table;
    unsigned count;
};

static size_t available_bytes(uint16_t size)
{
    return sizeof(struct vring_avail) + (size + 1u) * sizeof(__virtio16);
}

static size_t used_bytes(uint16_t size)
{
    return sizeof(struct vring_used) + size * sizeof(struct vring_used_elem) + sizeof(__virtio16);
}

static struct error *ring_slice(const struct guest_memory *memory, const char *name, uint64_t address,
    size_t length, unsigned alignment, uint8_t **ret_pointer)
{
    void *slice;
    if (address % alignment != 0)
        return error_new(ERROR_INVALID_ARGUMENT, "%s at 0x%" PRIx64 ": not aligned", name, address);
    struct error *error = guest_memory_slice(memory, address, length, &slice);
    if (error)
        return error_wrap(error, "%s", name);
    *ret_pointer = slice;
    return NULL;
}

struct error *virtqueue_start(struct virtqueue *queue, const struct guest_memory *memory, bool event_index)
{
    uint16_t size = queue->size;
    if (size == 0 || size > VIRTQUEUE_SIZE_MAX || (size & (size - 1)) != 0)
        return error_new(ERROR_INVALID_ARGUMENT, "a queue of %u entries", size);
    struct virtqueue started = {.size = size,
        .descriptors = queue->descriptors,
        .available = queue->available,
        .used = queue->used,
        .ready = true,
        .event_index = event_index,
        .memory = memory};
    TRY(ring_slice(memory, "descriptor table", queue->descriptors, size * sizeof(struct vring_desc),
        VRING_DESC_ALIGN_SIZE, &started.descriptor_table));
    TRY(ring_slice(memory, "available ring", queue->available, available_bytes(size), VRING_AVAIL_ALIGN_SIZE,
        &started.available_ring));
    TRY(ring_slice(
        memory, "used ring", queue->used, used_bytes(size), VRING_USED_ALIGN_SIZE, &started.used_ring));
    *queue = started;
    return NULL;
}

void virtqueue_stop(struct virtqueue *queue)
{
    *queue = (struct virtqueue){0};
}

/* A 16-bit field of a ring: flags, index, or entry. Aligned, because the rings are. */
static uint16_t *ring_field(uint8_t *ring, size_t offset)
{
    return (uint16_t *)(void *)(ring + offset);
}

static uint16_t load(uint8_t *ring, size_t offset)
{
    return __atomic_load_n(ring_field(ring, offset), __ATOMIC_ACQUIRE);
}

static void store(uint8_t *ring, size_t offset, uint16_t value)
{
    __atomic_store_n(ring_field(ring, offset), value, __ATOMIC_RELEASE);
}

static struct error *read_descriptor(const struct virtqueue *queue, const struct indirect *indirect,
    uint16_t index, struct vring_desc *ret_descriptor)
{
    unsigned count = indirect->table ? indirect->count : queue->size;
    if (index >= count)
        return error_new(ERROR_INVALID_ARGUMENT, "descriptor %u of %u", index, count);
    const uint8_t *table = indirect->table ? indirect->table : queue->descriptor_table;
    memcpy(ret_descriptor, table + index * sizeof(*ret_descriptor), sizeof(*ret_descriptor));
    return NULL;
}

static struct error *enter_indirect(
    const struct virtqueue *queue, const struct vring_desc *descriptor, struct indirect *indirect)
{
    if (indirect->table)
        return error_new(ERROR_INVALID_ARGUMENT, "an indirect table inside another");
    if (descriptor->flags & VRING_DESC_F_NEXT)
        return error_new(ERROR_INVALID_ARGUMENT, "an indirect table that does not end its chain");
    uint32_t length = descriptor->len;
    if (length == 0 || length % sizeof(*descriptor) != 0 || length / sizeof(*descriptor) > UINT16_MAX + 1u)
        return error_new(ERROR_INVALID_ARGUMENT, "an indirect table of %u bytes", length);
    void *table;
    TRY(guest_memory_slice(queue->memory, descriptor->addr, length, &table));
    *indirect = (struct indirect){.table = table, .count = length / sizeof(*descriptor)};
    return NULL;
}

static struct error *add_part(
    const struct virtqueue *queue, const struct vring_desc *descriptor, struct virtqueue_chain *chain)
{
    unsigned count = chain->readable_count + chain->writable_count;
    bool writable = descriptor->flags & VRING_DESC_F_WRITE;
    if (count >= queue->size)
        return error_new(ERROR_INVALID_ARGUMENT, "a chain of more than %u descriptors", queue->size);
    if (!writable && chain->writable_count > 0)
        return error_new(ERROR_INVALID_ARGUMENT, "a readable descriptor behind a writable one");
    void *slice;
    TRY(guest_memory_slice(queue->memory, descriptor->addr, descriptor->len, &slice));
    chain->vector[count] = (struct iovec){.iov_base = slice, .iov_len = descriptor->len};
    *(writable ? &chain->writable_count : &chain->readable_count) += 1;
    *(writable ? &chain->writable_bytes : &chain->readable_bytes) += descriptor->len;
    if (chain->readable_bytes + chain->writable_bytes > VIRTQUEUE_BYTES_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "a chain of more than %u bytes", VIRTQUEUE_BYTES_MAX);
    return NULL;
}

static struct error *read_chain(const struct virtqueue *queue, uint16_t head, struct virtqueue_chain *chain)
{
    struct indirect indirect = {0};
    struct vring_desc descriptor;
    uint16_t index = head;
    chain->head = head;
    chain->readable_count = chain->writable_count = 0;
    chain->readable_bytes = chain->writable_bytes = 0;
    for (;;) {
        TRY(read_descriptor(queue, &indirect, index, &descriptor));
        if (descriptor.flags & VRING_DESC_F_INDIRECT) {
            TRY(enter_indirect(queue, &descriptor, &indirect));
            index = 0;
            continue;
        }
        TRY(add_part(queue, &descriptor, chain));
        if (!(descriptor.flags & VRING_DESC_F_NEXT))
            break;
        index = descriptor.next;
    }
    chain->writable = chain->vector + chain->readable_count;
    return NULL;
}

struct error *virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain, bool *ret_found)
{
    uint16_t offered =
        (uint16_t)(load(queue->available_ring, offsetof(struct vring_avail, idx)) - queue->next_available);
    if (offered > queue->size)
        return error_new(ERROR_INVALID_ARGUMENT, "%u chains in a queue of %u entries", offered, queue->size);
    if (offered == 0) {
        *ret_found = false;
        return NULL;
    }
    /* An honest driver cannot: it has no descriptors left. So we never have more than `size` under way. */
    if ((uint16_t)(queue->next_available - queue->next_used) >= queue->size)
        return error_new(ERROR_INVALID_ARGUMENT, "more chains under way than the %u entries", queue->size);
    uint16_t entry = queue->next_available & (queue->size - 1);
    TRY(read_chain(queue,
        load(queue->available_ring, offsetof(struct vring_avail, ring) + entry * sizeof(__virtio16)), chain));
    queue->next_available++;
    *ret_found = true;
    return NULL;
}

void virtqueue_unpop(struct virtqueue *queue, unsigned count)
{
    queue->next_available = (uint16_t)(queue->next_available - count);
}

static size_t available_event_offset(const struct virtqueue *queue)
{
    return offsetof(struct vring_used, ring) + queue->size * sizeof(struct vring_used_elem);
}

static size_t used_event_offset(const struct virtqueue *queue)
{
    return offsetof(struct vring_avail, ring) + queue->size * sizeof(__virtio16);
}

bool virtqueue_expect(struct virtqueue *queue)
{
    if (queue->event_index)
        store(queue->used_ring, available_event_offset(queue), queue->next_available);
    /* The driver must see this before we look for the last time, or both sides may wait for the other. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return load(queue->available_ring, offsetof(struct vring_avail, idx)) != queue->next_available;
}

void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written)
{
    struct vring_used_elem element = {.id = head, .len = written};
    uint16_t entry = queue->next_used++ & (queue->size - 1);
    memcpy(queue->used_ring + offsetof(struct vring_used, ring) + entry * sizeof(element), &element,
        sizeof(element));
}

bool virtqueue_publish(struct virtqueue *queue)
{
    uint16_t before = queue->published, now = queue->next_used;
    if (now == before)
        return false;
    store(queue->used_ring, offsetof(struct vring_used, idx), now);
    queue->published = now;
    /* The driver publishes its wish before it looks at the index; we look at the wish after publishing that.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!queue->event_index)
        return !(
            load(queue->available_ring, offsetof(struct vring_avail, flags)) & VRING_AVAIL_F_NO_INTERRUPT);
    return vring_need_event(load(queue->available_ring, used_event_offset(queue)), now, before);
}

unsigned iovec_slice(const struct iovec *from, unsigned count, size_t offset, size_t length, struct iovec *to)
{
    unsigned made = 0;
    for (unsigned i = 0; i < count && length > 0; i++) {
        if (offset >= from[i].iov_len) {
            offset -= from[i].iov_len;
            continue;
        }
        size_t part = from[i].iov_len - offset;
        part = part < length ? part : length;
        to[made++] = (struct iovec){.iov_base = (uint8_t *)from[i].iov_base + offset, .iov_len = part};
        length -= part;
        offset = 0;
    }
    return made;
}

size_t chain_read(const struct virtqueue_chain *chain, size_t offset, void *buffer, size_t length)
{
    struct iovec parts[VIRTQUEUE_SIZE_MAX];
    unsigned count = iovec_slice(chain->vector, chain->readable_count, offset, length, parts);
    size_t done = 0;
    for (unsigned i = 0; i < count; done += parts[i++].iov_len)
        memcpy((uint8_t *)buffer + done, parts[i].iov_base, parts[i].iov_len);
    return done;
}

size_t chain_write(const struct virtqueue_chain *chain, size_t offset, const void *data, size_t length)
{
    struct iovec parts[VIRTQUEUE_SIZE_MAX];
    unsigned count = iovec_slice(chain->writable, chain->writable_count, offset, length, parts);
    size_t done = 0;
    for (unsigned i = 0; i < count; done += parts[i++].iov_len)
        memcpy(parts[i].iov_base, (const uint8_t *)data + done, parts[i].iov_len);
    return done;
}
