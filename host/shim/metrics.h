/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's statistics as the message that containerd's clients read: io.containerd.cgroups.v1.Metrics
 * where the host has cgroup v1 (also beside an empty v2 tree), v2.Metrics where it has only v2. Clients
 * choose by the host, not by the message. The working set that they compute is usage - inactive_file (v1:
 * total_inactive_file).
 */
#pragma once

#include "proto/agent.pb-c.h"
#include "proto/cgroup1.pb-c.h"
#include "proto/cgroup2.pb-c.h"

#include <stddef.h>
#include <stdint.h>

enum metrics_version { METRICS_V1 = 1, METRICS_V2 = 2 };

/* Of the host whose cgroups are mounted there: "/sys/fs/cgroup". */
enum metrics_version metrics_version_of(const char *mount_point);
/* The message's full name. */
const char *metrics_type(enum metrics_version version);
/* The packed message; the bytes are the caller's. */
uint8_t *metrics_pack(
    const Grpc__StatsContainerResponse *stats, enum metrics_version version, size_t *ret_length);

/* The two forms; metrics_pack calls them. */
uint8_t *metrics_pack_v1(const Grpc__StatsContainerResponse *stats, size_t *ret_length);
uint8_t *metrics_pack_v2(const Grpc__StatsContainerResponse *stats, size_t *ret_length);

/* Sets a message's uint64 field of this name, where it has one. */
void metrics_set_field(ProtobufCMessage *message, const char *name, uint64_t value);
/* Sets what an interface received and sent, in the NetworkStat of either form. */
void metrics_count_packets(ProtobufCMessage *interface, const Grpc__NetworkStats *stats);
/* What a guest may send of block devices and interfaces; it has a handful. */
#define METRICS_ENTRIES_MAX 64
