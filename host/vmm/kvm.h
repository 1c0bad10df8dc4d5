/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's half of a machine: one KVM virtual machine with its interrupt controllers, the regions of
 * guest memory, and the two short cuts that keep devices off the processors' path:
 *
 *   notification  a write of the guest to a device register makes an eventfd readable (KVM_IOEVENTFD)
 *   interrupt     a write to an eventfd raises a line of the interrupt controller (KVM_IRQFD)
 *
 * Memory is to be added first: changing it later waits for a grace period of the kernel, which the short cuts
 * make ten times as long.
 */
#pragma once

#include "base/error.h"

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvm {
    int system;               /* /dev/kvm */
    int vm;                   /* KVM_CREATE_VM */
    size_t run_size;          /* of the mapping of a processor: KVM_GET_VCPU_MMAP_SIZE */
    struct kvm_cpuid2 *cpuid; /* what KVM can offer a guest on this host */
    bool deadline_timer;      /* the local APIC's timer can follow the time stamp counter */
    uint32_t slots;           /* regions of memory so far */
};

/* Takes the descriptor of /dev/kvm, also on failure. UNAVAILABLE: not the KVM that this program speaks. */
struct error *kvm_new(int system, struct kvm **ret_kvm);

/* Host memory [host, host + size) becomes the guest's [address, address + size); both page-aligned. */
struct error *kvm_add_memory(struct kvm *kvm, uint64_t address, uint64_t size, void *host);
/* The PICs, the I/O APIC and a local APIC per processor; after the memory, before any processor. */
struct error *kvm_create_interrupt_controllers(struct kvm *kvm);
/* Guest writes of the 32-bit `value` to `address` make `fd` readable and reach nobody else. */
struct error *kvm_bind_notification(const struct kvm *kvm, uint64_t address, uint32_t value, int fd);
/* A write to `fd` is an edge on line `gsi`. */
struct error *kvm_bind_interrupt(const struct kvm *kvm, uint32_t gsi, int fd);
/* Takes NULL. */
void kvm_free(struct kvm *kvm);

DEFINE_CLEANUP(struct kvm *, kvm_free);
