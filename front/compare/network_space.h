/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network namespace with one end of a veth pair in it, the other end on the host: what a container of
 * Kubernetes has, without a bridge. ctr publishes no ports, so every runtime that containerd starts is asked
 * through such a pair, the same for all. A process holds the namespace and ends with this one, and everything
 * in it goes then.
 */
#pragma once

#include "compare/http.h"

struct network_space {
    struct kept holder;
    char *path;                    /* of the namespace */
    char address[INET_ADDRSTRLEN]; /* inside */
};

/* `holder` is a program that says "ready" when called with "hold", and then waits: the probe. */
struct error *network_space_open(
    struct launcher *launcher, const char *holder, struct network_space *ret_space);
/* Takes one that is empty, and leaves it so. */
void network_space_close(struct network_space *space);
