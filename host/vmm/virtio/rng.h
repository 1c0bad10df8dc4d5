/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-rng: random bytes of the host's kernel for the guest's.
 */
#pragma once

#include "vmm/virtio/device.h"

struct virtio_device *rng_new(struct virtio_bus *bus);
