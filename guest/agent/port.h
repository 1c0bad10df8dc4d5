/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-serial port that is the link to the host, found by the name that the host gave it. Ports and
 * their names appear while PID 1 already runs; this waits for the kernel's announcement of each.
 */
#pragma once

#include "base/error.h"

#define PORT_LINK_NAME "caisson.link.0"

/* The open port, non-blocking, its host side connected. Blocks until then: without a link there is nothing to
   do. UNAVAILABLE after `timeout` milliseconds. */
struct error *port_open(const char *name, int timeout, int *ret_fd);
