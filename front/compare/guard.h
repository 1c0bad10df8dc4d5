/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes, so that a kill -9 of either leaves nothing: the one that was started stays as the guard and
 * adopts what becomes an orphan; a child of it does everything. Where the child is killed, the guard clears
 * up after it. Where the guard is killed, the child is told by SIGTERM and ends as after a Ctrl-C.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* Returns twice: in the child at once with *ret_is_guard false; and in the guard with true, when the child
   has ended and nothing of it is left, with its exit code. ABORTED in the guard where the child was killed.
   `above` and `containerd` as for leftovers_sweep. */
struct error *guard_split(const char *above, const char *containerd, bool *ret_is_guard, int *ret_code);
