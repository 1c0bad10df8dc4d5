/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of a CreateContainer request: disks of the guest that the container gets under names of its own.
 * The container's Spec lists them with the numbers that they have on the host; here they get the guest's.
 *
 *     mmioblk, blk   vm_path is the disk in the guest's /dev
 *     scsi           id is the disk's address ("0:7", see device_path.h)
 */
#pragma once

#include "base/error.h"
#include "proto/agent.pb-c.h"

#include <event2/event.h>

#define DEVICES_MAX 64

/* error: NULL, or owned by the callee. */
typedef void device_set_done(void *context, struct error *error);

struct device_set;
/* The array is borrowed for the life of the set. */
struct device_set *device_set_new(struct event_base *base, Grpc__Device *const *devices, size_t count,
    device_set_done *done, void *context);
/* Waits until all are there; `done` is called once, perhaps before this returns, or never if the set is freed
   first. UNIMPLEMENTED for other kinds of devices. */
void device_set_wait(struct device_set *set);
/* Puts the guest's numbers into the Spec's devices of those paths, and into the rules for the host's numbers.
   INVALID_ARGUMENT where the Spec has no such device. After the wait. */
struct error *device_set_rewrite(const struct device_set *set, Grpc__Spec *spec);
/* Takes NULL. */
void device_set_free(struct device_set *set);
DEFINE_CLEANUP(struct device_set *, device_set_free);

/* The kinds, as GetGuestDetails lists them. */
#define DEVICE_KIND_COUNT 3
extern const char *const device_kinds[DEVICE_KIND_COUNT];
