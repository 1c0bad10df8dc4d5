/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network addresses from the host's text, and back.
 */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* An IPv4 or IPv6 address, with the length of its network's prefix. */
struct ip_address {
    uint8_t family; /* AF_INET, AF_INET6 */
    uint8_t prefix;
    uint8_t length; /* of bytes: 4 or 16 */
    uint8_t bytes[16];
};

#define HARDWARE_ADDRESS_SIZE 6

/* "10.0.2.15", "fe80::1", each with or without "/24". Without, the prefix is the whole address. */
struct error *ip_address_parse(const char *text, struct ip_address *ret_address);
/* Gives the address another prefix: "24". An empty text changes nothing. */
struct error *ip_address_set_prefix(struct ip_address *address, const char *text);
/* Without the prefix; owned by the caller. family and length as rtnetlink gives them; "" for what is neither.
 */
char *ip_address_text(int family, const void *bytes, size_t length);

/* "52:54:00:12:34:56" */
struct error *hardware_address_parse(const char *text, uint8_t ret_address[HARDWARE_ADDRESS_SIZE]);
/* "" for another length; owned by the caller. */
char *hardware_address_text(const uint8_t *bytes, size_t length);
