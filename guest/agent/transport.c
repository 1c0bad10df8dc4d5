/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/transport.h"

#include "base/fd.h"

#include <fcntl.h>

#define DRIVER "/sys/bus/platform/drivers/virtio-mmio"
#define DEVICES "/sys/bus/platform/devices"

/* Numbered from 0 on by the kernel, those without a device first: see add_free_transports of
   host/hv/qemu_arguments.c. */
struct error *transport_find_devices(void)
{
    for (unsigned number = 0;; number++) {
        _cleanup_free_ char *name = must_printf("virtio-mmio.%u", number);
        _cleanup_free_ char *device = must_printf("%s/%s", DEVICES, name);
        _cleanup_free_ char *bound = must_printf("%s/driver", device);
        if (access(device, F_OK) < 0)
            return NULL;
        if (access(bound, F_OK) == 0)
            continue;
        struct error *error = file_write_text(AT_FDCWD, DRIVER "/bind", name);
        if (error_number(error) == ENODEV) {
            error_free(error);
            return NULL;
        }
        TRY(error_wrap(error, "looking for a device on %s", name));
    }
}
