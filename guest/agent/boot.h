/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PID 1 does to the machine itself: mount the kernel's file systems before the first request, and end
 * the machine after the last.
 */
#pragma once

#include "agent/kmsg.h"

#include <stdbool.h>
#include <stddef.h>

/* Words of the kernel command line that are the agent's. */
struct boot_options {
    bool timings; /* caisson.timings: say in the kernel log when each phase of the boot ended */
};

/* When each phase ended, since the kernel started; for caisson.timings. */
#define BOOT_MARKS 8
struct boot_timings {
    struct {
        const char *name; /* borrowed */
        long microseconds;
    } marks[BOOT_MARKS];
    size_t count;
};

void boot_mark(struct boot_timings *timings, const char *name);
void boot_report(const struct boot_timings *timings, const struct kmsg *kmsg);

/* /dev and /sys: what finding the link needs. */
struct error *boot_mount_devices(void);
/* Everything else: /proc, /run, /tmp, terminals, shared memory, message queues, and the control groups with
   every controller handed to the groups below the root. */
struct error *boot_mount_rest(void);
/* Reads /proc/cmdline. */
struct error *boot_options_read(struct boot_options *ret_options);
/* Brings the loopback interface up. */
struct error *boot_loopback_up(void);

/* Orderly end of the machine: file systems are synced and unmounted. Powers off where the kernel knows how,
   and resets otherwise (the monitor is told to exit on a reset). */
void boot_power_off(void) __attribute__((noreturn));
