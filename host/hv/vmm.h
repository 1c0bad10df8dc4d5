/* SPDX-License-Identifier: Apache-2.0 */
/* Our own monitor, host/vmm, as a hypervisor of hv.h: needs KVM, and its program beside us. */
#pragma once

#include "hv/hv.h"

extern const struct hv_ops vmm_ops;
