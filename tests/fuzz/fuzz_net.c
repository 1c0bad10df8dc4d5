/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's answers about a network namespace, whose contents strangers have made. */
#include "base/error.h"
#include "net/scan.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool done = false;
    struct net_scan *scan = must_new(struct net_scan);
    /* As the socket's buffer is: aligned, and with an end that the sanitizer sees. */
    uint8_t *bytes = must_alloc(size);
    memcpy(bytes, data, size);
    error_free(netlink_walk(bytes, size, net_scan_take, scan, &done));
    net_scan_finish(scan);
    for (size_t i = 0; i < scan->interface_count; i++) {
        if (strnlen(scan->interfaces[i].name, IFNAMSIZ) == IFNAMSIZ)
            abort();
    }
    for (size_t i = 0; i < scan->address_count; i++) {
        if (scan->addresses[i].address.prefix > scan->addresses[i].address.length * 8)
            abort();
    }
    net_scan_free(scan);
    free(bytes);
    return 0;
}
