/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets of the host that are mounted into containers. A socket file cannot be shared through a file
 * server: who connects to it in the guest asks the guest's kernel. So the agent listens on a socket file of
 * its own, and carries every connection through the machine's link to a port that stands for the host's
 * socket; here that port is looked up and the connection made.
 *
 * The guest can name any port. It gets a connection only to sockets that a configuration mounted, and only so
 * many. Descriptors and credentials are not passed: the host sees the supervisor as its client, with the user
 * and the groups of the container where the supervisor is root.
 *
 * As with a bind mount, it is the socket that was there when the container was created: one that was removed
 * and bound anew under the same name is another one.
 */
#pragma once

#include "base/error.h"
#include "hv/hv.h"

#include <sys/types.h>

/* At one time. */
#define HOST_SOCKETS_MAX 64
#define HOST_SOCKET_CONNECTIONS_MAX 64   /* of one socket */
#define HOST_SOCKETS_CONNECTIONS_MAX 256 /* of all of them */

struct host_sockets;

struct host_sockets *host_sockets_new(void);
/* The machine was freed, so none of its connections is left. Takes NULL. */
void host_sockets_free(struct host_sockets *sockets);
/* The socket, which the path leads to now, gets a port; the ports are never used again. RESOURCE_EXHAUSTED at
   the limit. */
struct error *host_sockets_add(
    struct host_sockets *sockets, const void *owner, const char *path, uint32_t *ret_port);
/* The user that config.json names for the container, as the host counts. */
struct host_socket_user {
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* beside gid */
    size_t group_count;
};
/* Connects to the sockets of this owner as this user from now on; copied. Only root can, others stay
 * themselves. */
void host_sockets_act_as(
    struct host_sockets *sockets, const void *owner, const struct host_socket_user *user);
/* Takes away those of this owner, and ends their connections. */
void host_sockets_remove(struct host_sockets *sockets, const void *owner);
/* As hv_events.incoming. Does not wait: a socket whose backlog is full refuses. */
bool host_sockets_connect(struct host_sockets *sockets, uint32_t port, struct hv_joined *ret_joined);
