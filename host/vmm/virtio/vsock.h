/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-vsock: streams between programs in the guest and unix sockets of the host, by Firecracker's protocol
 * (docs/vsock.md there) and with no help of the host's kernel.
 *
 * To the guest: connect to the listener, send "CONNECT <port>\n"; once a program of the guest has accepted,
 * "OK <number>\n" comes back, and then the stream. Where nobody accepts, the connection ends. From the guest:
 * what connects to CID 2 is handed to the `connect` of the options.
 */
#pragma once

#include "vmm/virtio/device.h"

#define VSOCK_STREAMS_MAX 512

/* A connected socket for a port that the guest asks for, which becomes the device's, or -1: refused. May not
   wait. */
typedef int vsock_connect(void *context, uint32_t port);

struct vsock_options {
    uint64_t guest_cid;     /* 3 and more */
    int listener;           /* a unix stream socket that listens */
    vsock_connect *connect; /* NULL: the guest reaches nobody */
    void *context;
};

/* The listener is taken, also on failure. */
struct error *vsock_new(
    struct virtio_bus *bus, const struct vsock_options *options, struct virtio_device **ret_device);
/* Ends all streams and tells the guest that they are gone (its listeners stay): after a restore. Takes the
   bus's lock; in the I/O thread. */
void vsock_cut(struct virtio_device *device);
