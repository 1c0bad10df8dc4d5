/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net on a tap device. Checksums and segmentation are left to whoever is last to need them: packets of
 * up to 64 KiB pass between guest and tap as they are, with the virtio-net header in front.
 */
#pragma once

#include "vmm/virtio/rate.h"

struct net_options {
    int tap; /* opened with IFF_TAP | IFF_NO_PI | IFF_VNET_HDR */
    uint8_t mac[6];
    uint16_t mtu; /* of the link, which the guest sets; 0: it is not told */
    struct rate_limit receive, transmit;
};

/* The descriptor is taken, also on failure. */
struct error *net_new(
    struct virtio_bus *bus, const struct net_options *options, struct virtio_device **ret_device);
