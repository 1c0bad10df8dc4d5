/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk on a file or block device of the host.
 *
 * What the page cache has is read at once, in the I/O thread; what may wait for a disk is done by workers,
 * several requests at a time. A full or broken disk of the host is an I/O error in the guest.
 */
#pragma once

#include "vmm/virtio/rate.h"
#include "vmm/virtio/worker.h"

struct blk_options {
    int fd; /* opened for reading, and for writing unless it is read_only */
    bool read_only;
    bool durable;           /* a flush of the guest reaches the host's disk; else it is not even asked for */
    struct rate_limit rate; /* of reads and writes together */
    const char *identifier; /* the serial number that the guest reads, up to 20 bytes; NULL: none */
};

/* The descriptor is taken, also on failure. Its size now is the disk's. */
struct error *blk_new(struct virtio_bus *bus, struct worker_pool *pool, const struct blk_options *options,
    struct virtio_device **ret_device);
