/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CPUID tells the guest: what KVM offers, made true for one of `processors` processors, each a core of
 * its own in one package. Meaning of the leaves: Intel SDM volume 2A, CPUID; AMD64 volume 3, appendix E.
 */
#pragma once

#include "base/memory.h"

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* A copy of the offer for processor `number`, owned by the caller. */
struct kvm_cpuid2 *cpuid_for_processor(
    const struct kvm_cpuid2 *offer, unsigned number, unsigned processors, bool deadline_timer);
