/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine's state to and from a file, by QEMU's migration. Memory that is a file is not part of it
 * (capability x-ignore-shared): what remains are the processors and devices, some tens of kilobytes.
 */
#pragma once

#include "hv/qmp.h"

/* "migrate" or "migrate-incoming" with that descriptor, which stays the caller's. done when QEMU has begun;
   how it ends, events tell. */
void qemu_snapshot_begin(struct qmp *qmp, const char *command, int fd, qmp_done *done, void *context);

enum qemu_snapshot_progress { QEMU_SNAPSHOT_GOES_ON, QEMU_SNAPSHOT_COMPLETED, QEMU_SNAPSHOT_FAILED };

/* What an event of the monitor says about it. */
enum qemu_snapshot_progress qemu_snapshot_event(const char *name, const json_t *data);
