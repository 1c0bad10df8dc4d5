/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another network namespace, as far as sockets and tap devices in it are needed. Both stay in the namespace
 * where they were opened, so the process is there for a moment only.
 */
#pragma once

#include "base/error.h"

#include <net/if.h>
#include <stddef.h>

/* A tap device without persistence: it goes when its last descriptor is closed. */
struct net_tap {
    int fd; /* non-blocking; frames with a virtio-net header (IFF_VNET_HDR) */
    int index;
    char name[IFNAMSIZ];
};

/* Opens /run/netns/NAME, /proc/PID/ns/net or the like. FAILED_PRECONDITION for the namespace of this process
   or of the host's init: what is done to a container's network must not be done to the host's. */
struct error *net_namespace_open(const char *path, int *ret_namespace);
/* Text that names an open namespace for good: the path, and its identity, for paths are used again. Owned by
   the caller. */
char *net_namespace_note(int namespace, const char *path);
/* Opens the namespace of a note; *ret_namespace is -1 where it is not there any more. */
struct error *net_namespace_reopen(const char *note, int *ret_namespace);
/* A routing socket in the namespace (see netlink_open). */
struct error *net_namespace_socket(int namespace, int *ret_fd);
/* Two TCP sockets in the namespace that listen on its loopback addresses, on ports that the kernel chooses;
   non-blocking. *ret_six is -1 where there is no IPv6. */
struct error *net_namespace_listeners(int namespace, int *ret_four, int *ret_six);
/* So many tap devices in the namespace, named PREFIX0, PREFIX1, ... as far as these names are free; down.
   `socket` is the routing socket there. The array and the descriptors are the caller's. */
struct error *net_namespace_taps(
    int namespace, int socket, const char *prefix, size_t count, struct net_tap **ret_taps);
/* Closes them, and frees the array. Takes NULL. */
void net_taps_free(struct net_tap *taps, size_t count);
