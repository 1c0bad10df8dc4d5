/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices by number. A device of the host means nothing in the guest, except where every Linux kernel has the
 * same one under the same number (null, fuse, net/tun, ...).
 */
#pragma once

#include "base/error.h"
#include "proto/oci.pb-c.h"

#include <stdbool.h>
#include <sys/types.h>

/* The mode says whether it is a block or a character device; anything else is not known. */
bool guest_device_is_known(mode_t mode, dev_t number);
/* FAILED_PRECONDITION names the first of linux.devices that the guest does not have. */
struct error *guest_devices_check(const Grpc__Spec *spec);
