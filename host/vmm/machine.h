/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine: memory, processors, the bus with its devices, and the few ports of a PC that the guest's
 * kernel knows of. Made in steps: machine_new, devices, machine_start.
 *
 * Threads: all calls here are made in the I/O thread, which runs the event loop. Each processor has its own,
 * which reach the bus and the ports only, each behind its lock.
 *
 * What the guest finds, besides memory:
 *
 *     0xd0000000 + n * 4 KiB   registers of device n (virtio-mmio), which has line 5 + n
 *     ports 0x3f8 to 0x3ff     the debug console, with line 4
 *     port 0x64                the keyboard controller, of which nothing but the reset line is there
 */
#pragma once

#include "vmm/vcpu.h"
#include "vmm/virtio/device.h"
#include "vmm/virtio/worker.h"

#define MACHINE_DEVICES_MAX 19u /* lines 5 to 23 */

struct machine_config {
    uint64_t memory; /* bytes, whole pages */
    bool shared;     /* other processes will take part in devices, so the memory is a file */
    unsigned processors;
    /* Both may be NULL. The first runs in each processor's thread before it first enters the guest, the
       second in each worker before its first job. */
    struct error *(*confine_processor)(void);
    void (*confine_worker)(void);
};

struct machine_events {
    /* The guest ended by itself; called once, from the event loop. The reason is borrowed; NULL: reset or
       power-off. */
    void (*ended)(void *context, const struct error *reason);
    /* A device stopped because its driver or peer broke the rules; as virtio_failed, from any thread. */
    virtio_failed *device_failed;
};

struct machine;

/* Takes `kvm`, the descriptor of /dev/kvm, also on failure; base and events are borrowed. */
struct error *machine_new(struct event_base *base, int kvm, const struct machine_config *config,
    const struct machine_events *events, void *context, struct machine **ret_machine);
/* For making devices; borrowed. */
struct virtio_bus *machine_bus(const struct machine *machine);
struct guest_memory *machine_memory(const struct machine *machine);
/* For devices that wait for disks; borrowed. Before machine_start. */
struct error *machine_workers(struct machine *machine, struct worker_pool **ret_workers);
/* Takes the device, also on failure. RESOURCE_EXHAUSTED beyond MACHINE_DEVICES_MAX. */
struct error *machine_add_device(struct machine *machine, struct virtio_device *device);

struct machine_start {
    int kernel, initrd; /* -1: no initrd */
    const char *command_line;
    int console; /* takes what the guest sends to its serial port; -1: nobody. Borrowed, used until the end */
};

/* Loads the kernel, tells it of the devices, and prepares the processors, which do not run before
   machine_resume. Once. Descriptors but the console's are used before this returns. */
struct error *machine_start(struct machine *machine, const struct machine_start *start);
/* When it returns, no processor runs and no device does anything. Neither has an effect when it is so
 * already. */
void machine_pause(struct machine *machine);
void machine_resume(struct machine *machine);
/* Over all processors. */
uint64_t machine_exits(const struct machine *machine, enum vcpu_exit kind);
/* Takes NULL. */
void machine_free(struct machine *machine);

DEFINE_CLEANUP(struct machine *, machine_free);
