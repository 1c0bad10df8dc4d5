/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's memory, and the one door to it.
 *
 * An address and a length that come from the guest are checked here and nowhere else: whoever holds a pointer
 * into guest memory got it from guest_memory_slice. The guest goes on writing while we read, so what is
 * decided upon is copied out first (guest_memory_read) and never read twice.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory lies below 3 GiB, and what is more of it from 4 GiB on; between them are the devices. */
#define GUEST_MEMORY_GAP UINT64_C(0xc0000000)
#define GUEST_MEMORY_HIGH UINT64_C(0x100000000)
#define GUEST_MEMORY_REGIONS 2

struct guest_region {
    uint64_t address; /* guest-physical */
    uint64_t size;    /* bytes, a multiple of the page size */
    uint8_t *host;    /* where this process has it */
    uint64_t offset;  /* in the file of the memory, where it has one */
};

struct guest_memory {
    struct guest_region regions[GUEST_MEMORY_REGIONS];
    unsigned region_count;
    int fd;      /* the file, or -1 for anonymous memory; owned */
    bool shared; /* stores reach the file, so another process can map it and take part */
};

/* Fresh zeroed memory of `size` bytes (a multiple of 4096): anonymous, or of a memfd where it is shared.
   Pages cost nothing until they are touched. */
struct error *guest_memory_new(uint64_t size, bool shared, struct guest_memory **ret_memory);
/* Memory whose first content is that of a file, whose descriptor is taken; not shared means that what the
   guest writes stays in this process. */
struct error *guest_memory_map(int fd, uint64_t size, bool shared, struct guest_memory **ret_memory);
/* Takes NULL. */
void guest_memory_free(struct guest_memory *memory);

DEFINE_CLEANUP(struct guest_memory *, guest_memory_free);

/* A pointer to `length` bytes at a guest-physical address, good for as long as the memory is. OUT_OF_RANGE
   where not all of them are memory; no bytes at all are a slice anywhere inside a region. */
struct error *guest_memory_slice(
    const struct guest_memory *memory, uint64_t address, uint64_t length, void **ret_pointer);
struct error *guest_memory_read(
    const struct guest_memory *memory, uint64_t address, void *buffer, size_t length);
struct error *guest_memory_write(
    const struct guest_memory *memory, uint64_t address, const void *data, size_t length);
/* Gives the whole pages of a slice back to the host; the guest finds other content there, mostly zeros. */
struct error *guest_memory_discard(const struct guest_memory *memory, const void *slice, size_t length);
