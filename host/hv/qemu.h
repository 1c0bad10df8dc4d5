/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's microvm machine as a hypervisor of hv.h. */
#pragma once

#include "hv/hv.h"

extern const struct hv_ops qemu_kvm_ops;
extern const struct hv_ops qemu_tcg_ops;
