/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's resolv.conf.
 */
#pragma once

#include "base/error.h"

/* The given name servers, else for the user network the one that QEMU offers (10.0.2.3, which asks the
   host's), with the host's search domains; NULL where there is no network and no server was asked for.
   INVALID_ARGUMENT for what is not an IP address. */
struct error *resolver_text(const char *network, char *const *servers, char **ret_text);
