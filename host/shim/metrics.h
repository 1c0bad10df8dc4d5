/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's statistics as the message that containerd's clients read. The working set that they compute is
 * usage - inactive_file.
 */
#pragma once

#include "proto/agent.pb-c.h"
#include "proto/cgroup2.pb-c.h"

#include <stddef.h>
#include <stdint.h>

/* Packs an io.containerd.cgroups.v2.Metrics; the bytes are the caller's. */
uint8_t *metrics_pack(const Grpc__StatsContainerResponse *stats, size_t *ret_length);
