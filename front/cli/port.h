/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports: -p [IP:]HOST:PORT[/tcp|/udp], -p PORT for any free port of the host, and ranges of equal
 * length (8000-8003:80-83). An IPv6 address stands in brackets.
 */
#pragma once

#include "base/error.h"

/* One "[IP:]HOST:PORT/PROTOCOL" for each port. */
struct error *ports_parse(char *const *options, char ***ret_ports);
