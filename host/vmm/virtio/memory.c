/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE UINT64_C(4096)

static uint64_t smaller(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

static struct error *map_region(struct guest_memory *memory, uint64_t address, uint64_t size, uint64_t offset)
{
    int flags = (memory->shared ? MAP_SHARED : MAP_PRIVATE) | MAP_NORESERVE;
    if (memory->fd < 0)
        flags |= MAP_ANONYMOUS;
    void *host = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, memory->fd, (off_t)offset);
    if (host == MAP_FAILED)
        return error_errno(errno, "%" PRIu64 " MiB of memory for the guest", size >> 20);
    memory->regions[memory->region_count++] =
        (struct guest_region){.address = address, .size = size, .host = host, .offset = offset};
    return NULL;
}

/* Takes the descriptor, also where it fails. */
static struct error *map_all(int fd, uint64_t size, bool shared, struct guest_memory **ret_memory)
{
    _cleanup_(guest_memory_free) struct guest_memory *memory = must_new(struct guest_memory);
    *memory = (struct guest_memory){.fd = fd, .shared = shared};
    if (size == 0 || size % PAGE != 0 || size > INT64_MAX)
        return error_new(
            ERROR_INVALID_ARGUMENT, "%" PRIu64 " bytes of memory for the guest: not whole pages", size);
    uint64_t low = smaller(size, GUEST_MEMORY_GAP);
    TRY(map_region(memory, 0, low, 0));
    if (size > low)
        TRY(map_region(memory, GUEST_MEMORY_HIGH, size - low, low));
    *ret_memory = TAKE_PTR(memory);
    return NULL;
}

struct error *guest_memory_new(uint64_t size, bool shared, struct guest_memory **ret_memory)
{
    if (!shared)
        return map_all(-1, size, false, ret_memory);
    int fd = memfd_create("guest memory", MFD_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "a file for the guest's memory");
    if (ftruncate(fd, (off_t)size) < 0) {
        struct error *error = error_errno(errno, "%" PRIu64 " MiB of memory for the guest", size >> 20);
        close_fd(fd);
        return error;
    }
    return map_all(fd, size, true, ret_memory);
}

struct error *guest_memory_map(int fd, uint64_t size, bool shared, struct guest_memory **ret_memory)
{
    return map_all(fd, size, shared, ret_memory);
}

void guest_memory_free(struct guest_memory *memory)
{
    if (!memory)
        return;
    for (unsigned i = 0; i < memory->region_count; i++)
        munmap(memory->regions[i].host, memory->regions[i].size);
    close_fd(memory->fd);
    free(memory);
}

struct error *guest_memory_slice(
    const struct guest_memory *memory, uint64_t address, uint64_t length, void **ret_pointer)
{
    for (unsigned i = 0; i < memory->region_count; i++) {
        const struct guest_region *region = &memory->regions[i];
        if (address < region->address || address - region->address >= region->size)
            continue;
        uint64_t offset = address - region->address;
        if (length > region->size - offset)
            break;
        *ret_pointer = region->host + offset;
        return NULL;
    }
    return error_new(ERROR_OUT_OF_RANGE,
        "%" PRIu64 " bytes at guest address 0x%" PRIx64 " are not all memory", length, address);
}

struct error *guest_memory_read(
    const struct guest_memory *memory, uint64_t address, void *buffer, size_t length)
{
    void *slice;
    TRY(guest_memory_slice(memory, address, length, &slice));
    memcpy(buffer, slice, length);
    return NULL;
}

struct error *guest_memory_write(
    const struct guest_memory *memory, uint64_t address, const void *data, size_t length)
{
    void *slice;
    TRY(guest_memory_slice(memory, address, length, &slice));
    memcpy(slice, data, length);
    return NULL;
}

/* The region in which this process has a slice that came from the door. */
static const struct guest_region *region_of(const struct guest_memory *memory, const uint8_t *slice)
{
    for (unsigned i = 0; i < memory->region_count; i++) {
        const struct guest_region *region = &memory->regions[i];
        if (slice >= region->host && (size_t)(slice - region->host) < region->size)
            return region;
    }
    return NULL;
}

struct error *guest_memory_discard(const struct guest_memory *memory, const void *slice, size_t length)
{
    const struct guest_region *region = region_of(memory, slice);
    if (!region || length > region->size - (size_t)((const uint8_t *)slice - region->host))
        return error_new(ERROR_OUT_OF_RANGE, "%zu bytes to give back are not all memory", length);
    uint64_t begin = (size_t)((const uint8_t *)slice - region->host), end = begin + length;
    begin = (begin + PAGE - 1) / PAGE * PAGE;
    end = end / PAGE * PAGE;
    if (begin >= end)
        return NULL;
    if (memory->shared ? fallocate(memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                             (off_t)(region->offset + begin), (off_t)(end - begin))
                       : madvise(region->host + begin, end - begin, MADV_DONTNEED))
        return error_errno(errno, "giving memory of the guest back");
    return NULL;
}
