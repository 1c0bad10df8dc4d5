/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a cgroup that hold its limits; a file that is not there (its controller is not mounted, or not
   handed down) is passed over. */
#pragma once

#include "cgroup/cgroup.h"

struct error *limits_apply(const char *directory, bool unified, const struct cgroup_limits *limits);
/* cgroup v2: children may use each controller that this cgroup has. */
void limits_hand_down(const char *directory);
/* cgroup v1: a new cpuset has no CPUs, and then no process may enter. */
struct error *limits_inherit_cpuset(const char *parent, const char *directory);
