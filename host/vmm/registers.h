/* SPDX-License-Identifier: Apache-2.0 */
/* The state in which a processor starts: what firmware would have left, and the kernel's entry. */
#pragma once

#include "vmm/boot.h"

/* For every processor, after its CPUID. */
struct error *registers_reset(int vcpu);
/* For the first one; the others wait until the kernel starts them. */
struct error *registers_enter(int vcpu, const struct boot_entry *entry);
