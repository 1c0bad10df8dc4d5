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

/* Takes the lock for as long as the descriptor is open, here or in a forked child. ALREADY_EXISTS when a
   living shim holds it. */
struct error *instance_lock(const struct places *places, int *ret_fd);
/* Writes the holder's pid into the lock. */
struct error *instance_own(int lock, pid_t pid);
/* Kills the shim that holds the lock, if any, and waits until it is gone (at most two seconds). */
struct error *instance_kill(const struct places *places);
/* Whether somebody accepts connections at the sandbox's socket. */
bool instance_answers(const struct places *places);
