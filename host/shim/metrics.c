/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/metrics.h"

#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

enum metrics_version metrics_version_of(const char *mount_point)
{
    struct statfs status;
    return statfs(mount_point, &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC ? METRICS_V2
                                                                                     : METRICS_V1;
}

const char *metrics_type(enum metrics_version version)
{
    return version == METRICS_V1 ? cgroup1__metrics__descriptor.name : cgroup2__metrics__descriptor.name;
}

uint8_t *metrics_pack(
    const Grpc__StatsContainerResponse *stats, enum metrics_version version, size_t *ret_length)
{
    return version == METRICS_V1 ? metrics_pack_v1(stats, ret_length) : metrics_pack_v2(stats, ret_length);
}

void metrics_set_field(ProtobufCMessage *message, const char *name, uint64_t value)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
    if (field && field->type == PROTOBUF_C_TYPE_UINT64 && field->label == PROTOBUF_C_LABEL_NONE)
        memcpy((uint8_t *)message + field->offset, &value, sizeof(value));
}

void metrics_count_packets(ProtobufCMessage *interface, const Grpc__NetworkStats *stats)
{
    metrics_set_field(interface, "rx_bytes", stats->rx_bytes);
    metrics_set_field(interface, "rx_packets", stats->rx_packets);
    metrics_set_field(interface, "rx_errors", stats->rx_errors);
    metrics_set_field(interface, "rx_dropped", stats->rx_dropped);
    metrics_set_field(interface, "tx_bytes", stats->tx_bytes);
    metrics_set_field(interface, "tx_packets", stats->tx_packets);
    metrics_set_field(interface, "tx_errors", stats->tx_errors);
    metrics_set_field(interface, "tx_dropped", stats->tx_dropped);
}
