/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rpc.h"

#include "base/fd.h"
#include "base/strv.h"

#include <fcntl.h>
#include <inttypes.h>

/* Interfaces that are told of; a sandbox has few. */
#define STATS_INTERFACES_MAX 64

/* One line of /proc/net/dev; NULL for the two that are its heading. */
static Grpc__NetworkStats *parse_interface(const char *line)
{
    char name[64];
    Grpc__NetworkStats found = GRPC__NETWORK_STATS__INIT;
    int fields = sscanf(line,
        " %63[^: ]: %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %*u %*u %*u %*u %" SCNu64 " %" SCNu64
        " %" SCNu64 " %" SCNu64,
        name, &found.rx_bytes, &found.rx_packets, &found.rx_errors, &found.rx_dropped, &found.tx_bytes,
        &found.tx_packets, &found.tx_errors, &found.tx_dropped);
    if (fields != 9)
        return NULL;
    Grpc__NetworkStats *stats = must_new(Grpc__NetworkStats);
    *stats = found;
    stats->name = must_copy(name);
    return stats;
}

/* The network is the sandbox's, so every container of it has these. */
static struct error *add_network_stats(Grpc__StatsContainerResponse *reply)
{
    _cleanup_free_ char *text = NULL;
    TRY(file_read(AT_FDCWD, "/proc/net/dev", 64u << 10, &text, NULL));
    _cleanup_strv_ char **lines = strv_split(text, '\n');
    reply->network_stats = must_alloc_array(STATS_INTERFACES_MAX, sizeof(*reply->network_stats));
    STRV_FOREACH (line, lines) {
        Grpc__NetworkStats *stats =
            reply->n_network_stats < STATS_INTERFACES_MAX ? parse_interface(*line) : NULL;
        if (stats)
            reply->network_stats[reply->n_network_stats++] = stats;
    }
    return NULL;
}

static struct error *measure(
    struct agent *agent, const Grpc__StatsContainerRequest *request, Grpc__StatsContainerResponse *reply)
{
    struct agent_container *container;
    TRY(agent_find_container_for(agent, request->container_id, CALL_STATS_CONTAINER, &container));
    TRY(error_wrap(
        container_stats(container->container, reply), "measuring the container %s", container->id));
    return add_network_stats(reply);
}

void rpc_stats_container(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    Grpc__StatsContainerResponse *reply = must_new(Grpc__StatsContainerResponse);
    *reply = (Grpc__StatsContainerResponse)GRPC__STATS_CONTAINER_RESPONSE__INIT;
    struct error *error = measure(context, (const void *)message, reply);
    if (error)
        ttrpc_fail(call, error);
    else
        ttrpc_reply(call, &reply->base);
    grpc__stats_container_response__free_unpacked(reply, NULL);
}
