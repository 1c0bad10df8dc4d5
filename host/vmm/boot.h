/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a kernel into the guest's memory, with what it is told there, and says how to enter it.
 *
 * A kernel with a PVH note is entered by that protocol (the kernel's include/xen/interface/hvm/start_info.h):
 * 32-bit code without paging. One without is entered as 64-bit code (the kernel's
 * Documentation/arch/x86/boot.rst, "64-bit Boot Protocol").
 */
#pragma once

#include "vmm/virtio/memory.h"

/* The kernel's COMMAND_LINE_SIZE on x86, with the NUL. */
#define BOOT_COMMAND_LINE_MAX 2048u

struct boot_request {
    int kernel; /* an ELF vmlinux; borrowed, as all of this */
    int initrd; /* -1: none */
    const char *command_line;
    unsigned processors;
};

/* The first processor's state when it starts. */
struct boot_entry {
    bool long_mode;       /* 64-bit code with the tables below; otherwise 32-bit code without paging */
    uint64_t instruction; /* the first */
    uint64_t argument;    /* where the boot information is: rsi in long mode, ebx otherwise */
};

/* Where boot.c leaves the tables of long mode. */
#define BOOT_GDT_ADDRESS 0x500u
#define BOOT_GDT_ENTRIES 4u
#define BOOT_PAGE_TABLES_ADDRESS 0x9000u

/* INVALID_ARGUMENT: not a kernel; RESOURCE_EXHAUSTED: the memory is too small for it. */
struct error *boot_load(
    const struct guest_memory *memory, const struct boot_request *request, struct boot_entry *ret_entry);
