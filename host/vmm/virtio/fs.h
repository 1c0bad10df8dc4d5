/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-fs: a directory of the host, served by a file server (virtiofsd) at the other end of a vhost-user
 * socket. The guest's memory must be shared.
 */
#pragma once

#include "vmm/virtio/device.h"

/* The socket, connected to the server, is taken, also on failure; waits for the server to answer. The guest
   mounts the tag, at most 36 bytes. */
struct error *fs_new(struct virtio_bus *bus, int socket, const char *tag, struct virtio_device **ret_device);
