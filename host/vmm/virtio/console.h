/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-console with one named port: a byte stream between a program in the guest, which finds the port by
 * its name, and a socket of the host.
 */
#pragma once

#include "vmm/virtio/device.h"

#define CONSOLE_NAME_MAX 63

/* The socket is taken, also on failure. What it brings waits there until the guest opens the port. When its
   peer closes it, the guest sees the port's host side closed. */
struct error *console_new(
    struct virtio_bus *bus, int socket, const char *port_name, struct virtio_device **ret_device);
