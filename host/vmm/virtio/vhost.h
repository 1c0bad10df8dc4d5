/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front end of vhost-user: another process, at the other end of a socket, works on a device's queues in
 * the guest's shared memory (https://qemu-project.gitlab.io/qemu/interop/vhost-user.html).
 *
 * The peer is trusted no more than the guest. It is waited for with a deadline, where it has to answer at
 * all.
 */
#pragma once

#include "vmm/virtio/device.h"

struct vhost;

/* Greets the peer. The socket is taken, also on failure. */
struct error *vhost_new(int socket, struct vhost **ret_vhost);
void vhost_free(struct vhost *vhost);

DEFINE_CLEANUP(struct vhost *, vhost_free);

/* Hands the queues that are ready over to the peer, which hears the driver's notifications itself and tells
   of what it has done through `call_fd`. */
struct error *vhost_start(struct vhost *vhost, const struct virtio_device *device, int call_fd);
/* Takes them back; when it succeeds, the peer touches guest memory no more. */
struct error *vhost_stop(struct vhost *vhost, const struct virtio_device *device);
/* After the socket has become readable: an error where the peer is gone, or speaks unasked. */
struct error *vhost_check(struct vhost *vhost);
