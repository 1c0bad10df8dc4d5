/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest has cgroup v2; here its numbers take the places that v1 has for them. v1 tells a cgroup's own
 * pages from those of all below it (total_*), v2 counts all: both get the same number.
 */
#include "shim/metrics.h"

#include "base/cleanup.h"
#include "base/memory.h"
#include "ttrpc/ttrpc.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct operations {
    Cgroup1__BlkIOEntry entries[METRICS_ENTRIES_MAX];
    Cgroup1__BlkIOEntry *list[METRICS_ENTRIES_MAX];
    size_t count;
};

struct metrics {
    Cgroup1__Metrics message;
    Cgroup1__PidsStat pids;
    Cgroup1__CPUStat cpu;
    Cgroup1__CPUUsage cpu_usage;
    Cgroup1__Throttle throttling;
    Cgroup1__MemoryStat memory;
    Cgroup1__MemoryEntry memory_usage;
    Cgroup1__MemoryEntry swap_usage;
    Cgroup1__MemoryEntry kernel_usage;
    Cgroup1__MemoryOomControl out_of_memory;
    Cgroup1__BlkIOStat io;
    struct operations bytes;
    struct operations requests;
    Cgroup1__NetworkStat interfaces[METRICS_ENTRIES_MAX];
    Cgroup1__NetworkStat *interface_list[METRICS_ENTRIES_MAX];
};

static void fill_pids(struct metrics *metrics, const Grpc__PidsStats *stats)
{
    metrics->pids = (Cgroup1__PidsStat)CGROUP1__PIDS_STAT__INIT;
    metrics->pids.current = stats->current;
    metrics->pids.limit = stats->limit;
    metrics->message.pids = &metrics->pids;
}

static void fill_cpu(struct metrics *metrics, const Grpc__CpuStats *stats)
{
    metrics->cpu = (Cgroup1__CPUStat)CGROUP1__CPUSTAT__INIT;
    metrics->message.cpu = &metrics->cpu;
    if (stats->cpu_usage) {
        metrics->cpu_usage = (Cgroup1__CPUUsage)CGROUP1__CPUUSAGE__INIT;
        metrics->cpu_usage.total = stats->cpu_usage->total_usage;
        metrics->cpu_usage.user = stats->cpu_usage->usage_in_usermode;
        metrics->cpu_usage.kernel = stats->cpu_usage->usage_in_kernelmode;
        metrics->cpu_usage.per_cpu = stats->cpu_usage->percpu_usage;
        metrics->cpu_usage.n_per_cpu = stats->cpu_usage->n_percpu_usage;
        metrics->cpu.usage = &metrics->cpu_usage;
    }
    if (stats->throttling_data) {
        metrics->throttling = (Cgroup1__Throttle)CGROUP1__THROTTLE__INIT;
        metrics->throttling.periods = stats->throttling_data->periods;
        metrics->throttling.throttled_periods = stats->throttling_data->throttled_periods;
        metrics->throttling.throttled_time = stats->throttling_data->throttled_time;
        metrics->cpu.throttling = &metrics->throttling;
    }
}

/* A line of v2's memory.stat, and where v1 has it under another name. */
static void fill_memory_line(Cgroup1__MemoryStat *memory, const char *key, uint64_t value)
{
    static const struct {
        const char *v2;
        const char *v1;
    } names[] = {{"file", "cache"}, {"anon", "rss"}, {"anon_thp", "rss_huge"}, {"file_mapped", "mapped_file"},
        {"file_dirty", "dirty"}, {"file_writeback", "writeback"}, {"pgfault", "pg_fault"},
        {"pgmajfault", "pg_maj_fault"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(names[i].v2, key) == 0)
            key = names[i].v1;
    char total[64];
    snprintf(total, sizeof(total), "total_%s", key);
    metrics_set_field(&memory->base, key, value);
    metrics_set_field(&memory->base, total, value);
}

static Cgroup1__MemoryEntry *fill_memory_entry(Cgroup1__MemoryEntry *entry, const Grpc__MemoryData *data)
{
    if (!data)
        return NULL;
    *entry = (Cgroup1__MemoryEntry)CGROUP1__MEMORY_ENTRY__INIT;
    entry->usage = data->usage;
    entry->limit = data->limit;
    entry->max = data->max_usage;
    entry->failcnt = data->failcnt;
    return entry;
}

static void fill_memory(struct metrics *metrics, const Grpc__MemoryStats *stats)
{
    metrics->memory = (Cgroup1__MemoryStat)CGROUP1__MEMORY_STAT__INIT;
    for (size_t i = 0; i < stats->n_stats; i++)
        fill_memory_line(&metrics->memory, stats->stats[i]->key, stats->stats[i]->value);
    metrics->memory.usage = fill_memory_entry(&metrics->memory_usage, stats->usage);
    metrics->memory.swap = fill_memory_entry(&metrics->swap_usage, stats->swap_usage);
    metrics->memory.kernel = fill_memory_entry(&metrics->kernel_usage, stats->kernel_usage);
    if (stats->usage)
        metrics->memory.hierarchical_memory_limit = stats->usage->limit;
    metrics->message.memory = &metrics->memory;
    metrics->out_of_memory = (Cgroup1__MemoryOomControl)CGROUP1__MEMORY_OOM_CONTROL__INIT;
    metrics->message.memory_oom_control = &metrics->out_of_memory;
}

static void fill_operations(
    struct operations *operations, Grpc__BlkioStatsEntry *const *entries, size_t count)
{
    for (size_t i = 0; i < count && operations->count < METRICS_ENTRIES_MAX; i++) {
        bool reads = strcasecmp(entries[i]->op, "read") == 0;
        if (!reads && strcasecmp(entries[i]->op, "write") != 0)
            continue;
        Cgroup1__BlkIOEntry *entry = &operations->entries[operations->count];
        *entry = (Cgroup1__BlkIOEntry)CGROUP1__BLK_IOENTRY__INIT;
        entry->op = reads ? "Read" : "Write";
        entry->major = entries[i]->major;
        entry->minor = entries[i]->minor;
        entry->value = entries[i]->value;
        operations->list[operations->count++] = entry;
    }
}

static void fill_io(struct metrics *metrics, const Grpc__BlkioStats *stats)
{
    metrics->io = (Cgroup1__BlkIOStat)CGROUP1__BLK_IOSTAT__INIT;
    fill_operations(&metrics->bytes, stats->io_service_bytes_recursive, stats->n_io_service_bytes_recursive);
    fill_operations(&metrics->requests, stats->io_serviced_recursive, stats->n_io_serviced_recursive);
    metrics->io.io_service_bytes_recursive = metrics->bytes.list;
    metrics->io.n_io_service_bytes_recursive = metrics->bytes.count;
    metrics->io.io_serviced_recursive = metrics->requests.list;
    metrics->io.n_io_serviced_recursive = metrics->requests.count;
    metrics->message.blkio = &metrics->io;
}

static void fill_network(struct metrics *metrics, const Grpc__StatsContainerResponse *stats)
{
    size_t count =
        stats->n_network_stats < METRICS_ENTRIES_MAX ? stats->n_network_stats : METRICS_ENTRIES_MAX;
    for (size_t i = 0; i < count; i++) {
        metrics->interfaces[i] = (Cgroup1__NetworkStat)CGROUP1__NETWORK_STAT__INIT;
        metrics->interfaces[i].name = stats->network_stats[i]->name;
        metrics_count_packets(&metrics->interfaces[i].base, stats->network_stats[i]);
        metrics->interface_list[i] = &metrics->interfaces[i];
    }
    metrics->message.network = metrics->interface_list;
    metrics->message.n_network = count;
}

uint8_t *metrics_pack_v1(const Grpc__StatsContainerResponse *stats, size_t *ret_length)
{
    _cleanup_free_ struct metrics *metrics = must_new(struct metrics);
    const Grpc__CgroupStats *cgroup = stats->cgroup_stats;
    metrics->message = (Cgroup1__Metrics)CGROUP1__METRICS__INIT;
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
