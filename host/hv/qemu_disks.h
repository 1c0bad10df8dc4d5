/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks that come and go while QEMU runs. A microvm's own bus takes no device after the start, but a SCSI
 * controller that is there from the start does. QEMU's jail has no path to an image, so its descriptor goes
 * through the monitor, into a descriptor set from which the block layer opens it.
 */
#pragma once

#include "hv/hv.h"
#include "hv/qmp.h"

/* id of the controller on QEMU's command line; its bus is QEMU_DISKS_CONTROLLER ".0" */
#define QEMU_DISKS_CONTROLLER "hot"

struct qemu_disks;

struct qemu_disks *qemu_disks_new(void);
/* Takes NULL. */
void qemu_disks_free(struct qemu_disks *disks);

/* As hv_attach_disk and hv_detach_disk, for a machine that runs and has the controller. */
void qemu_disks_attach(
    struct qemu_disks *disks, struct qmp *qmp, const struct hv_disk *disk, hv_attached *done, void *context);
void qemu_disks_detach(
    struct qemu_disks *disks, struct qmp *qmp, const char *address, hv_done *done, void *context);
/* Every event of the monitor: some of them tell that a device is gone. */
void qemu_disks_event(struct qemu_disks *disks, const char *name, const json_t *data);
/* The machine has ended: answers whatever waits. The owner may free the disks in such an answer, and then has
   set *freed. */
void qemu_disks_machine_ended(struct qemu_disks *disks, const bool *freed);
