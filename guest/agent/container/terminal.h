/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal of a process: a pair from the container's own /dev/pts.
 */
#pragma once

#include "base/error.h"
#include "proto/oci.pb-c.h"

#include <stdbool.h>

/* In the child, which leads a session and stands in the container's root: the terminal becomes 0, 1, 2 and
   the controlling one. With `console` it is /dev/console too. *ret_master is for the agent. */
struct error *terminal_open(const Grpc__Box *size, bool console, int *ret_master);
