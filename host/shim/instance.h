/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which shim serves a sandbox: a lock that the kernel drops with its holder, so that a dead shim is told from
 * a living one without trusting process numbers.
 */
#pragma once

#include "base/error.h"
#include "shim/places.h"

#include <stdbool.h>
#include <sys/types.h>

/* Makes the sandbox's directory and takes its lock for as long as the descriptor is open, here or in a forked
   child. ALREADY_EXISTS when a living shim holds it. */
struct error *instance_lock(const struct places *places, int *ret_fd);
/* Writes the holder's pid into the lock. */
struct error *instance_own(int lock, pid_t pid);
/* Whether somebody accepts connections at the sandbox's socket. */
bool instance_answers(const struct places *places);
/* Waits until the holder of the lock has ended, if there is one. DEADLINE_EXCEEDED after `milliseconds`. */
struct error *instance_await_end(const struct places *places, int milliseconds);
/* Makes sure that no shim holds the lock: one that is just ending gets a moment, any other is killed. */
struct error *instance_kill(const struct places *places);
/* Removes the sandbox's directory. A shim of the same name may be started meanwhile: it gets a new one. */
struct error *instance_remove(const struct places *places);
