/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One processor of the guest and the thread that runs it.
 *
 * The thread is the only one that touches the processor's state. Others ask for something (pause, resume,
 * end) and kick it out of the guest: a flag that KVM looks at before it enters, and a signal that makes it
 * leave. What the guest does with ports and device registers is handed to the owner, in the thread.
 */
#pragma once

#include "vmm/boot.h"
#include "vmm/kvm.h"

/* Why a processor left the guest. */
enum vcpu_exit {
    VCPU_EXIT_PORT_IN,
    VCPU_EXIT_PORT_OUT,
    VCPU_EXIT_DEVICE_READ,
    VCPU_EXIT_DEVICE_WRITE,
    VCPU_EXIT_INTERRUPTED, /* by a kick, or to deliver something else to the thread */
    VCPU_EXIT_OTHER,
    VCPU_EXIT_KINDS,
};

/* "port-in" and so on. */
const char *vcpu_exit_name(enum vcpu_exit kind);

/* How a machine ends by its own doing. */
enum vcpu_end {
    VCPU_END_RESET, /* reset or power-off; a triple fault is how our kernel asks for it */
    VCPU_END_ERROR, /* KVM cannot go on */
};

/* All are called in the processor's thread. Data are `size` bytes (1, 2, 4 or 8) as the guest has them in
   memory; reads have them filled with ones for what nobody answers. */
struct vcpu_owner {
    void (*port)(void *context, uint16_t port, void *data, unsigned size, bool is_write);
    void (*device)(void *context, uint64_t address, void *data, unsigned size, bool is_write);
    /* The thread is about to run the guest for the first time: confine it. An error ends the machine. */
    struct error *(*confine)(void *context);
    /* The processor does not run any more; the reason (NULL with VCPU_END_RESET) is the owner's. */
    void (*ended)(void *context, enum vcpu_end end, struct error *reason);
};

struct vcpu;

/* Processor `number` of `processors`; the owner is borrowed. The thread starts, and waits paused. */
struct error *vcpu_new(const struct kvm *kvm, unsigned number, unsigned processors,
    const struct vcpu_owner *owner, void *context, struct vcpu **ret_vcpu);
/* While paused, before it first runs. */
struct error *vcpu_enter(const struct vcpu *vcpu, const struct boot_entry *entry);
/* Asks for it; vcpu_wait_paused waits until it is so, which takes as long as one exit is handled. The owner's
   callbacks must be able to finish meanwhile. */
void vcpu_pause(struct vcpu *vcpu);
void vcpu_wait_paused(struct vcpu *vcpu);
void vcpu_resume(struct vcpu *vcpu);
/* How often the processor left the guest for this reason so far. */
uint64_t vcpu_exits(const struct vcpu *vcpu, enum vcpu_exit kind);
/* Ends the thread and waits for it. Takes NULL. */
void vcpu_free(struct vcpu *vcpu);

DEFINE_CLEANUP(struct vcpu *, vcpu_free);
