/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-balloon: memory that the guest does not use goes back to the host, because it is asked to shrink
 * (inflate), or because its free pages lie idle (free page reporting). What the guest touches again comes
 * back by itself.
 */
#pragma once

#include "vmm/virtio/device.h"

/* `reports`: free page reporting is offered. */
struct virtio_device *balloon_new(struct virtio_bus *bus, bool reports);
/* Asks the guest to give up so many bytes altogether; it does what it can. Takes the bus's lock. */
void balloon_set_target(struct virtio_device *device, uint64_t bytes);
/* How many bytes the guest says it has given up. Takes the bus's lock. */
uint64_t balloon_size(struct virtio_device *device);
