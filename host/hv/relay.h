/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP ports published on IPv6 addresses. QEMU's user network forwards from IPv4 addresses only, so such a
 * port is forwarded from a loopback address that only this machine uses, and connections to the IPv6 address
 * are passed on to there, in the owner's event loop.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* Held of each direction of a connection while its other end is slow. */
#define RELAY_WINDOW (64u << 10)
#define RELAY_CONNECTIONS_MAX 512

bool relay_is_needed(const char *host_address);
/* The loopback address, out of 127.64.0.0/10, for a machine of this name: "127.93.4.17". */
#define RELAY_ADDRESS_SIZE 16
void relay_address(const char *machine, char ret_text[RELAY_ADDRESS_SIZE]);

struct relay;

/* Listens at once; ALREADY_EXISTS where the port is in use. */
struct error *relay_new(struct event_base *base, const char *host_address, uint16_t port, const char *target,
    struct relay **ret_relay);
/* Ends all its connections. Takes NULL. */
void relay_free(struct relay *relay);
