/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what containerd writes to `start`, and as the statistics of a guest, which become metrics that
   can be decoded again. */
#include "shim/handshake.h"
#include "shim/metrics.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_metrics(const Grpc__StatsContainerResponse *stats)
{
    size_t length = 0;
    uint8_t *bytes = metrics_pack(stats, &length);
    Cgroup2__Metrics *metrics = cgroup2__metrics__unpack(NULL, length, bytes);
    if (!metrics)
        abort();
    cgroup2__metrics__free_unpacked(metrics, NULL);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct shim_options options = {.namespace = "ns", .id = "id"};
    struct handshake handshake = handshake_parse(data, size, &options);
    handshake_clear(&handshake);
    Grpc__StatsContainerResponse *stats = grpc__stats_container_response__unpack(NULL, size, data);
    if (!stats)
        return 0;
    check_metrics(stats);
    grpc__stats_container_response__free_unpacked(stats, NULL);
    return 0;
}
