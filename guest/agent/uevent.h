/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's announcements of devices (kobject uevents). They only say that it is worth looking again: what
 * counts is what /dev and /sys then show.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <stdbool.h>

/* A non-blocking socket that becomes readable with each announcement. */
struct error *uevent_open(int *ret_fd);
/* Takes all that wait. */
void uevent_drain(int fd);

/* error NULL: the device is there. Otherwise DEADLINE_EXCEEDED with its name, owned by the callee. */
typedef void uevent_found(void *context, struct error *error);
struct uevent_wait;
/* Calls back from the event loop, once, as soon as the disk of device_path.h is there or `timeout`
   milliseconds have passed. */
struct error *uevent_wait_new(struct event_base *base, const char *driver, const char *source, int timeout,
    uevent_found *found, void *context, struct uevent_wait **ret_wait);
/* Before or in the callback. Takes NULL. */
void uevent_wait_free(struct uevent_wait *wait);
