/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of QEMU as a pure function of the machine's description. Everything that QEMU talks to or
 * reads as a disk comes to it as a descriptor, so a line holds no socket path and no image path.
 */
#pragma once

#include "hv/hv.h"

/* Virtio devices of a microvm without ACPI (hw/i386/microvm.c of QEMU). The guest's kernel has no ACPI: it
   finds devices by its command line, which QEMU completes, and processors by the MP table of the firmware. */
#define QEMU_SLOTS 8

/* Descriptors in the child: the fixed ones, then one for each disk, each share and each network card. */
enum {
    QEMU_FD_MONITOR = 3,
    QEMU_FD_CONSOLE = 4,
    QEMU_FD_LINK = 5,
    QEMU_FD_DISKS = 6,
};

/* Where QEMU finds the memory of a snapshot: it opens that by its path only. */
#define QEMU_MEMORY_PATH "/memory"

struct qemu_launch {
    const char *binary;
    bool kvm;
    const char *cpu;    /* value of -cpu */
    const char *kernel; /* as QEMU sees the paths, which may be inside a jail */
    const char *initrd;
};

/* The guest sees the link as the virtio-serial port of this name. */
#define QEMU_LINK_NAME "caisson.link.0"

/* INVALID_ARGUMENT for what no such machine can have: no memory, too many processors or devices. */
struct error *qemu_check_config(const struct hv_config *config);
/* See hv_room. */
size_t qemu_room(const struct hv_config *config);
/* A vector for execve; the configuration has passed qemu_check_config. */
char **qemu_arguments(const struct hv_config *config, const struct qemu_launch *launch);
/* As hv_memory_address, for a microvm of any size (microvm_memory_init of QEMU): 3 GiB from 0 on, the rest
   from 4 GiB on. */
uint64_t qemu_memory_address(uint64_t offset);
/* Adds a kernel parameter to a finished line. */
void qemu_add_kernel_parameter(char **arguments, const char *parameter);
