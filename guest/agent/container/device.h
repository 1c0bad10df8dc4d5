/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands in a container's /dev beside its mounts: the default devices of the OCI runtime specification,
 * the Spec's own, and the usual links.
 */
#pragma once

#include "base/error.h"
#include "proto/oci.pb-c.h"

#include <stdbool.h>

/* Before the container moves into `root`. Where nodes may not be made (user namespaces) the guest's own are
   bound in. A Spec that binds a whole /dev keeps it as it is. */
struct error *device_make_all(int root, const Grpc__Spec *spec, bool user_namespace);
