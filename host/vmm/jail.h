/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's own confinement, entered twice.
 *
 * First, before it hears anything: namespaces of its own, an empty root, no capability and no way to one, no
 * descriptors but those it was started with. From then on all it has was sent to it.
 *
 * Second, before the guest runs: each thread keeps the few system calls that its work takes. Any other one
 * ends the process (SIGSYS).
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>

enum jail_thread {
    JAIL_MAIN = 1u << 0,   /* the event loop: devices, control */
    JAIL_VCPU = 1u << 1,   /* a processor */
    JAIL_WORKER = 1u << 2, /* I/O on disks */
};

/* Closes all descriptors from `first_fd` on. Where the kernel allows this user no namespaces, *ret_alone is
   false and the rest is done. Called with one thread. */
struct error *jail_enter(int first_fd, bool *ret_alone);
/* The calling thread, for ever. Threads that it starts would have its list and their own. */
struct error *jail_confine(enum jail_thread thread);
/* How many system calls such a thread keeps. */
unsigned jail_call_count(enum jail_thread thread);
