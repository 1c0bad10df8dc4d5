/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where in /dev the disks are that a request names.
 *
 *     scsi            "0:7", target and unit of the one SCSI controller; the kernel chooses the name
 *     mmioblk, blk    the path itself: "/dev/vdb"
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* INVALID_ARGUMENT for a source that can name no disk of this driver. */
struct error *device_path_check(const char *driver, const char *source);
/* The path of the device, for the caller to free, or NULL as long as it is not there. The source has passed
   device_path_check. */
char *device_path(const char *driver, const char *source);
