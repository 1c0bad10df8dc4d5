/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a cgroup. */
#pragma once

#include "base/error.h"

#include <sys/types.h>
#include <time.h>

/* Writes the process into a cgroup's list; 0 is the caller. */
struct error *members_move(const char *list, pid_t pid);
/* Moves all of them to another cgroup of the hierarchy, or where that is gone to the second one. */
void members_expel(const char *directory, const char *to, const char *else_to);
/* Waits until all have ended, or until the deadline. */
void members_await_end(const char *directory, struct timespec deadline);
/* That many milliseconds from now, on CLOCK_MONOTONIC. */
struct timespec members_deadline(unsigned milliseconds);
