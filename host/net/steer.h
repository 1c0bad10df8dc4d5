/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections to the loopback addresses of a network namespace, whatever port they ask for, handed to one
 * listening socket: a BPF program at the place where the kernel looks for a listener (sk_lookup, Linux 5.9
 * and later). Needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN.
 */
#pragma once

#include "base/error.h"

/* For 127.0.0.0/8 one listening IPv4 socket, for ::1 one listening IPv6 socket, or -1; both borrowed, and in
   that namespace. It lasts until *ret_link is closed. The error says what the kernel does not allow. */
struct error *steer_loopback(int namespace, int listener4, int listener6, int *ret_link);
