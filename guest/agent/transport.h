/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of a machine that starts from a saved one. The kernel looked for devices at the boot and found the
 * saved machine's; disks and network cards of this one are on transports that were empty then.
 */
#pragma once

#include "base/error.h"

/* Has the kernel look again at each transport without a device, in their order, up to the first that is still
   empty. */
struct error *transport_find_devices(void);
