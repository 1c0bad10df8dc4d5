/* SPDX-License-Identifier: Apache-2.0 */
/* What a process of the host has used. */
#pragma once

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

struct usage {
    uint64_t user_time; /* nanoseconds */
    uint64_t system_time;
    uint64_t memory; /* resident, in bytes */
};

/* proc(5), stat: all threads. FAILED_PRECONDITION for pid 0. */
struct error *usage_of_process(pid_t pid, struct usage *ret_usage);
