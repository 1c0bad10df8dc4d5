/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from one descriptor to another, as the event loop goes: at most one pipe's or buffer's worth is under
 * way, so a slow sink slows the source down.
 *
 * Where the kernel can it moves pages (splice), else it copies. Terminals, pipes, sockets and files all do as
 * source and sink, blocking or not.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

struct pump;

/* Called once. error is NULL at the end of the source, otherwise owned by the callee: reading or writing
   failed; error_number() is EPIPE where the sink's reader is gone. The pump may be freed from here. */
typedef void pump_ended(void *context, struct error *error);
/* Sees the bytes before they go on and may change them and *length, by at most PUMP_FILTER_SLACK upwards. */
#define PUMP_FILTER_SLACK 16
typedef void pump_filter(void *context, char *data, size_t *length);

/* The descriptors stay the caller's and must outlive the pump. filter may be NULL. */
struct pump *pump_new(
    struct event_base *base, int source, int sink, pump_filter *filter, pump_ended *ended, void *context);
/* False once the source has nothing more at this moment and all that it had is written. */
bool pump_busy(struct pump *pump);
/* Takes NULL. */
void pump_free(struct pump *pump);
DEFINE_CLEANUP(struct pump *, pump_free);

/* A descriptor for the same file that is non-blocking without making its other owners' so. Where the file
   cannot be opened again it is an ordinary duplicate. */
struct error *pump_reopen(int fd, int flags, int *ret_fd);
