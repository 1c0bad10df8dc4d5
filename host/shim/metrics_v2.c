/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/metrics.h"

#include "base/memory.h"
#include "ttrpc/ttrpc.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct metrics {
    Cgroup2__Metrics message;
    Cgroup2__PidsStat pids;
    Cgroup2__CPUStat cpu;
    Cgroup2__MemoryStat memory;
    Cgroup2__MemoryEvents events;
    Cgroup2__IOStat io;
    Cgroup2__IOEntry devices[METRICS_ENTRIES_MAX];
    Cgroup2__IOEntry *device_list[METRICS_ENTRIES_MAX];
    Cgroup2__NetworkStat interfaces[METRICS_ENTRIES_MAX];
    Cgroup2__NetworkStat *interface_list[METRICS_ENTRIES_MAX];
};

static void fill_pids(struct metrics *metrics, const Grpc__PidsStats *stats)
{
    metrics->pids = (Cgroup2__PidsStat)CGROUP2__PIDS_STAT__INIT;
    metrics->pids.current = stats->current;
    metrics->pids.limit = stats->limit;
    metrics->message.pids = &metrics->pids;
}

/* The agent counts nanoseconds, cgroup v2 microseconds. */
static void fill_cpu(struct metrics *metrics, const Grpc__CpuStats *stats)
{
    metrics->cpu = (Cgroup2__CPUStat)CGROUP2__CPUSTAT__INIT;
    if (stats->cpu_usage) {
        metrics->cpu.usage_usec = stats->cpu_usage->total_usage / 1000;
        metrics->cpu.user_usec = stats->cpu_usage->usage_in_usermode / 1000;
        metrics->cpu.system_usec = stats->cpu_usage->usage_in_kernelmode / 1000;
    }
    if (stats->throttling_data) {
        metrics->cpu.nr_periods = stats->throttling_data->periods;
        metrics->cpu.nr_throttled = stats->throttling_data->throttled_periods;
        metrics->cpu.throttled_usec = stats->throttling_data->throttled_time / 1000;
    }
    metrics->message.cpu = &metrics->cpu;
}

/* Lines of memory.stat go to the fields of the same name. */
static void fill_memory(struct metrics *metrics, const Grpc__MemoryStats *stats)
{
    metrics->memory = (Cgroup2__MemoryStat)CGROUP2__MEMORY_STAT__INIT;
    for (size_t i = 0; i < stats->n_stats; i++)
        metrics_set_field(&metrics->memory.base, stats->stats[i]->key, stats->stats[i]->value);
    if (stats->usage) {
        metrics->memory.usage = stats->usage->usage;
        metrics->memory.usage_limit = stats->usage->limit;
        metrics->memory.max_usage = stats->usage->max_usage;
        metrics->events = (Cgroup2__MemoryEvents)CGROUP2__MEMORY_EVENTS__INIT;
        metrics->events.max = stats->usage->failcnt;
        metrics->message.memory_events = &metrics->events;
    }
    if (stats->swap_usage) {
        metrics->memory.swap_usage = stats->swap_usage->usage;
        metrics->memory.swap_limit = stats->swap_usage->limit;
    }
    metrics->message.memory = &metrics->memory;
}

static Cgroup2__IOEntry *find_device(struct metrics *metrics, uint64_t major, uint64_t minor)
{
    size_t count = metrics->io.n_usage;
    for (size_t i = 0; i < count; i++)
        if (metrics->devices[i].major == major && metrics->devices[i].minor == minor)
            return &metrics->devices[i];
    if (count == METRICS_ENTRIES_MAX)
        return NULL;
    Cgroup2__IOEntry *device = metrics->device_list[count] = &metrics->devices[count];
    *device = (Cgroup2__IOEntry)CGROUP2__IOENTRY__INIT;
    device->major = major;
    device->minor = minor;
    metrics->io.n_usage++;
    return device;
}

static void fill_operation(struct metrics *metrics, const Grpc__BlkioStatsEntry *entry, bool bytes)
{
    bool reads = strcasecmp(entry->op, "read") == 0;
    if (!reads && strcasecmp(entry->op, "write") != 0)
        return;
    Cgroup2__IOEntry *device = find_device(metrics, entry->major, entry->minor);
    if (!device)
        return;
    if (bytes)
        *(reads ? &device->rbytes : &device->wbytes) = entry->value;
    else
        *(reads ? &device->rios : &device->wios) = entry->value;
}

static void fill_io(struct metrics *metrics, const Grpc__BlkioStats *stats)
{
    metrics->io = (Cgroup2__IOStat)CGROUP2__IOSTAT__INIT;
    metrics->io.usage = metrics->device_list;
    for (size_t i = 0; i < stats->n_io_service_bytes_recursive; i++)
        fill_operation(metrics, stats->io_service_bytes_recursive[i], true);
    for (size_t i = 0; i < stats->n_io_serviced_recursive; i++)
        fill_operation(metrics, stats->io_serviced_recursive[i], false);
    metrics->message.io = &metrics->io;
}

static void fill_network(struct metrics *metrics, const Grpc__StatsContainerResponse *stats)
{
    size_t count =
        stats->n_network_stats < METRICS_ENTRIES_MAX ? stats->n_network_stats : METRICS_ENTRIES_MAX;
    for (size_t i = 0; i < count; i++) {
        metrics->interfaces[i] = (Cgroup2__NetworkStat)CGROUP2__NETWORK_STAT__INIT;
        metrics->interfaces[i].name = stats->network_stats[i]->name;
        metrics_count_packets(&metrics->interfaces[i].base, stats->network_stats[i]);
        metrics->interface_list[i] = &metrics->interfaces[i];
    }
    metrics->message.network = metrics->interface_list;
    metrics->message.n_network = count;
}

uint8_t *metrics_pack_v2(const Grpc__StatsContainerResponse *stats, size_t *ret_length)
{
    _cleanup_free_ struct metrics *metrics = must_new(struct metrics);
    const Grpc__CgroupStats *cgroup = stats->cgroup_stats;
    metrics->message = (Cgroup2__Metrics)CGROUP2__METRICS__INIT;
    if (cgroup && cgroup->pids_stats)
        fill_pids(metrics, cgroup->pids_stats);
    if (cgroup && cgroup->cpu_stats)
        fill_cpu(metrics, cgroup->cpu_stats);
    if (cgroup && cgroup->memory_stats)
        fill_memory(metrics, cgroup->memory_stats);
    if (cgroup && cgroup->blkio_stats)
        fill_io(metrics, cgroup->blkio_stats);
    fill_network(metrics, stats);
    return ttrpc_pack(&metrics->message.base, ret_length);
}
