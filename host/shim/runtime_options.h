/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that a client gives with Create. containerd's CRI and CRI-O give a runtime that they do not
 * know runtimeoptions.v1.Options, of which the path counts; the body is the client's own TOML. Clients made
 * for runc give containerd.runc.v1.Options, of which ShimCgroup counts; the other members say how to run runc
 * (SystemdCgroup is seen from the form of cgroupsPath). Types that nobody knows are left aside.
 */
#pragma once

#include "base/error.h"
#include "proto/google.pb-c.h"

#include <stdbool.h>

/* Whether it holds a message of this full name; with or without a prefix, as in "type.googleapis.com/NAME".
 */
bool runtime_options_is_type(const Google__Protobuf__Any *any, const char *name);
/* any: NULL for none. ret_config_path: ConfigPath, the caller's; NULL where there is none. INVALID_ARGUMENT
   when the message cannot be read. */
struct error *runtime_options_config_path(const Google__Protobuf__Any *any, char **ret_config_path);
/* ShimCgroup of runc's options: the cgroup for the shim itself, the caller's. NULL where it is not said. */
char *runtime_options_shim_cgroup(const Google__Protobuf__Any *any);
