/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/guest_devices.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Numbers of Documentation/admin-guide/devices.txt that guest/kernel's configuration has drivers for. */
static const struct {
    unsigned major;
    unsigned minor;
} known[] = {
    {1, 3},    /* null */
    {1, 5},    /* zero */
    {1, 7},    /* full */
    {1, 8},    /* random */
    {1, 9},    /* urandom */
    {1, 11},   /* kmsg */
    {5, 0},    /* tty */
    {5, 1},    /* console */
    {5, 2},    /* ptmx */
    {10, 200}, /* net/tun */
    {10, 229}, /* fuse */
    {10, 237}, /* loop-control */
};

bool guest_device_is_known(mode_t mode, dev_t number)
{
    for (size_t i = 0; S_ISCHR(mode) && i < ARRAY_SIZE(known); i++)
        if (known[i].major == major(number) && known[i].minor == minor(number))
            return true;
    return false;
}

static struct error *check_device(const Grpc__LinuxDevice *device)
{
    bool block = strcmp(device->type, "b") == 0;
    if (strcmp(device->type, "p") == 0)
        return NULL;
    dev_t number = makedev((unsigned)device->major, (unsigned)device->minor);
    if (guest_device_is_known(block ? S_IFBLK : S_IFCHR, number))
        return NULL;
    return error_new(ERROR_FAILED_PRECONDITION,
        "config.json gives the container the host's %s device %s (%lld:%lld), which the virtual machine does "
        "not have; a privileged container does without where containerd's runtime has "
        "privileged_without_host_devices = true, or with nerdctl's --security-opt "
        "privileged-without-host-devices",
        block ? "block" : "character", device->path, (long long)device->major, (long long)device->minor);
}

struct error *guest_devices_check(const Grpc__Spec *spec)
{
    for (size_t i = 0; spec->linux_config && i < spec->linux_config->n_devices; i++)
        TRY(check_device(spec->linux_config->devices[i]));
    return NULL;
}
