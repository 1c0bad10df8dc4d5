/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/cgroup.h"
#include "agent/container/cgroup_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#define NANOSECONDS_PER_MICROSECOND 1000u

/* The lines of memory.stat are about sixty; devices with I/O and sizes of huge pages are fewer. */
#define ENTRIES_MAX 1024

#define NEW_MESSAGE(type, TYPE)          \
    ({                                   \
        type *message_ = must_new(type); \
        *message_ = (type)TYPE##__INIT;  \
        message_;                        \
    })

static uint64_t text_value(const char *text, const char *key)
{
    uint64_t value = 0;
    if (text)
        cgroup_text_value(text, key, &value);
    return value;
}

static uint64_t file_number(int fd, const char *name)
{
    uint64_t value = 0;
    cgroup_file_number(fd, name, &value);
    return value;
}

/* NULL where the controller is off. */
static char *read_optional(int fd, const char *name)
{
    char *text = NULL;
    error_free(cgroup_file_read(fd, name, &text));
    return text;
}

static Grpc__CpuStats *cpu_stats(int fd)
{
    _cleanup_free_ char *text = read_optional(fd, "cpu.stat");
    Grpc__CpuStats *cpu = NEW_MESSAGE(Grpc__CpuStats, GRPC__CPU_STATS);
    cpu->cpu_usage = NEW_MESSAGE(Grpc__CpuUsage, GRPC__CPU_USAGE);
    cpu->cpu_usage->total_usage = text_value(text, "usage_usec") * NANOSECONDS_PER_MICROSECOND;
    cpu->cpu_usage->usage_in_usermode = text_value(text, "user_usec") * NANOSECONDS_PER_MICROSECOND;
    cpu->cpu_usage->usage_in_kernelmode = text_value(text, "system_usec") * NANOSECONDS_PER_MICROSECOND;
    cpu->throttling_data = NEW_MESSAGE(Grpc__ThrottlingData, GRPC__THROTTLING_DATA);
    cpu->throttling_data->periods = text_value(text, "nr_periods");
    cpu->throttling_data->throttled_periods = text_value(text, "nr_throttled");
    cpu->throttling_data->throttled_time = text_value(text, "throttled_usec") * NANOSECONDS_PER_MICROSECOND;
    return cpu;
}

static Grpc__MemoryData *memory_data(int fd, const char *kind, const char *failures)
{
    char name[64];
    Grpc__MemoryData *data = NEW_MESSAGE(Grpc__MemoryData, GRPC__MEMORY_DATA);
    snprintf(name, sizeof(name), "%s.current", kind);
    data->usage = file_number(fd, name);
    snprintf(name, sizeof(name), "%s.peak", kind);
    data->max_usage = file_number(fd, name);
    snprintf(name, sizeof(name), "%s.max", kind);
    data->limit = file_number(fd, name);
    snprintf(name, sizeof(name), "%s.events", kind);
    _cleanup_free_ char *events = read_optional(fd, name);
    data->failcnt = text_value(events, failures);
    return data;
}

/* "anon 1234\nfile 5678\n" as a map. */
static void fill_map(const char *text, Grpc__MemoryStats *memory)
{
    const char *line = text;
    while (line && *line && memory->n_stats < ENTRIES_MAX) {
        size_t length = strcspn(line, " \n");
        char *end = NULL;
        unsigned long long value = line[length] == ' ' ? strtoull(line + length, &end, 10) : 0;
        if (end) {
            Grpc__NumberEntry *entry = NEW_MESSAGE(Grpc__NumberEntry, GRPC__NUMBER_ENTRY);
            entry->key = must_copy_length(line, length);
            entry->value = value;
            memory->stats = must_resize(memory->stats, memory->n_stats + 1, sizeof(*memory->stats));
            memory->stats[memory->n_stats++] = entry;
        }
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
}

static Grpc__MemoryStats *memory_stats(int fd)
{
    _cleanup_free_ char *text = read_optional(fd, "memory.stat");
    Grpc__MemoryStats *memory = NEW_MESSAGE(Grpc__MemoryStats, GRPC__MEMORY_STATS);
    memory->cache = text_value(text, "file");
    memory->usage = memory_data(fd, "memory", "max");
    memory->swap_usage = memory_data(fd, "memory.swap", "fail");
    memory->kernel_usage = NEW_MESSAGE(Grpc__MemoryData, GRPC__MEMORY_DATA);
    memory->kernel_usage->usage = text_value(text, "kernel");
    memory->use_hierarchy = true;
    fill_map(text, memory);
    return memory;
}

static Grpc__PidsStats *pids_stats(int fd)
{
    Grpc__PidsStats *pids = NEW_MESSAGE(Grpc__PidsStats, GRPC__PIDS_STATS);
    pids->current = file_number(fd, "pids.current");
    /* No limit is 0 in this message. */
    uint64_t limit = file_number(fd, "pids.max");
    pids->limit = limit == UINT64_MAX ? 0 : limit;
    return pids;
}

static void add_io(Grpc__BlkioStatsEntry ***entries, size_t *count, unsigned int major, unsigned int minor,
    const char *operation, uint64_t value)
{
    if (*count == ENTRIES_MAX)
        return;
    Grpc__BlkioStatsEntry *entry = NEW_MESSAGE(Grpc__BlkioStatsEntry, GRPC__BLKIO_STATS_ENTRY);
    entry->major = major;
    entry->minor = minor;
    entry->op = must_copy(operation);
    entry->value = value;
    *entries = must_resize(*entries, *count + 1, sizeof(**entries));
    (*entries)[(*count)++] = entry;
}

/* The number behind "key=" in one line. */
static uint64_t line_value(const char *line, const char *key)
{
    const char *found = strstr(line, key);
    return found ? strtoull(found + strlen(key), NULL, 10) : 0;
}

/* "254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6" */
static void add_io_line(Grpc__BlkioStats *io, const char *line)
{
    unsigned int major;
    unsigned int minor;
    if (sscanf(line, "%u:%u ", &major, &minor) != 2)
        return;
    static const struct {
        const char *operation;
        const char *bytes;
        const char *count;
    } kinds[] = {
        {"Read", " rbytes=", " rios="}, {"Write", " wbytes=", " wios="}, {"Discard", " dbytes=", " dios="}};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        add_io(&io->io_service_bytes_recursive, &io->n_io_service_bytes_recursive, major, minor,
            kinds[i].operation, line_value(line, kinds[i].bytes));
        add_io(&io->io_serviced_recursive, &io->n_io_serviced_recursive, major, minor, kinds[i].operation,
            line_value(line, kinds[i].count));
    }
}

static Grpc__BlkioStats *io_stats(int fd)
{
    Grpc__BlkioStats *io = NEW_MESSAGE(Grpc__BlkioStats, GRPC__BLKIO_STATS);
    _cleanup_free_ char *text = read_optional(fd, "io.stat");
    char *rest = NULL;
    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest))
        add_io_line(io, line);
    return io;
}

static void add_hugetlb(int fd, const char *page_size, Grpc__CgroupStats *stats)
{
    char name[64];
    Grpc__HugetlbStatsEntry *entry = NEW_MESSAGE(Grpc__HugetlbStatsEntry, GRPC__HUGETLB_STATS_ENTRY);
    entry->key = must_copy(page_size);
    entry->value = NEW_MESSAGE(Grpc__HugetlbStats, GRPC__HUGETLB_STATS);
    snprintf(name, sizeof(name), "hugetlb.%.20s.current", page_size);
    entry->value->usage = file_number(fd, name);
    snprintf(name, sizeof(name), "hugetlb.%.20s.events", page_size);
    _cleanup_free_ char *events = read_optional(fd, name);
    entry->value->failcnt = text_value(events, "max");
    stats->hugetlb_stats =
        must_resize(stats->hugetlb_stats, stats->n_hugetlb_stats + 1, sizeof(*stats->hugetlb_stats));
    stats->hugetlb_stats[stats->n_hugetlb_stats++] = entry;
}

static void hugetlb_stats(int fd, Grpc__CgroupStats *stats)
{
    static const char suffix[] = ".current";
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_dir_ DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char *name = entry->d_name;
        size_t length = strlen(name);
        if (strncmp(name, "hugetlb.", 8) != 0 || strstr(name, ".rsvd.") || length <= 8 + strlen(suffix) ||
            strcmp(name + length - strlen(suffix), suffix) != 0)
            continue;
        name[length - strlen(suffix)] = '\0';
        add_hugetlb(fd, name + 8, stats);
    }
}

Grpc__CgroupStats *cgroup_stats(const struct cgroup *cgroup)
{
    int fd = cgroup_fd(cgroup);
    Grpc__CgroupStats *stats = NEW_MESSAGE(Grpc__CgroupStats, GRPC__CGROUP_STATS);
    stats->cpu_stats = cpu_stats(fd);
    stats->memory_stats = memory_stats(fd);
    stats->pids_stats = pids_stats(fd);
    stats->blkio_stats = io_stats(fd);
    hugetlb_stats(fd, stats);
    return stats;
}
