/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel's file says of itself: an ELF executable for x86-64 whose segments go to physical addresses,
 * and in its notes perhaps the entry for PVH (XEN_ELFNOTE_PHYS32_ENTRY of xen/include/public/elfnote.h).
 *
 * The file may be damaged or made up. What comes out of elf_read is within the file and does not wrap; where
 * it may lie in the guest's memory is for the caller to check.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_SEGMENTS_MAX 16

struct elf_segment {
    uint64_t offset;      /* in the file */
    uint64_t file_size;   /* bytes from the file, */
    uint64_t memory_size; /* and zeros up to this many; not 0 */
    uint64_t address;     /* physical */
};

struct elf_image {
    struct elf_segment segments[ELF_SEGMENTS_MAX];
    size_t segment_count; /* at least one */
    uint64_t entry;       /* of 64-bit code */
    bool has_pvh;
    uint32_t pvh_entry; /* of 32-bit code without paging */
};

/* INVALID_ARGUMENT: not such a file. The descriptor's position does not matter and stays. */
struct error *elf_read(int fd, struct elf_image *ret_image);
