/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits until the reader of a pipe has taken all that is in it.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>

struct drain;
/* `done` is called once, from the event loop, when the pipe is empty or has lost its reader. Borrows the end
   to write to, which nobody may write to any more and which must stay open until drain_free. */
struct drain *drain_new(struct event_base *base, int pipe, void (*done)(void *context), void *context);
/* Takes NULL. */
void drain_free(struct drain *drain);
