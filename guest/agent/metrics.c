/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/metrics.h"

#include "base/fd.h"
#include "base/strv.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define PROC_FILE_MAX (256u << 10)

/* The lines of a file in /proc, or NULL. */
static char **read_lines(const char *path)
{
    _cleanup_free_ char *text = NULL;
    error_free(file_read(AT_FDCWD, path, PROC_FILE_MAX, &text, NULL));
    return text ? strv_split(text, '\n') : NULL;
}

static void describe(FILE *out, const char *name, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void put_item(FILE *out, const char *name, const char *item, const char *value)
{
    fprintf(out, "%s{item=\"%s\"} %s\n", name, item, value);
}

/* "0.20 0.10 0.05 1/58 102" */
static void put_load(FILE *out)
{
    static const char *const items[] = {"load1", "load5", "load15"};
    _cleanup_strv_ char **lines = read_lines("/proc/loadavg");
    if (!lines)
        return;
    _cleanup_strv_ char **words = strv_split(lines[0], ' ');
    if (strv_length(words) < 4)
        return;
    describe(out, "kata_guest_load", "Guest system load.");
    for (size_t i = 0; i < ARRAY_SIZE(items); i++)
        put_item(out, "kata_guest_load", items[i], words[i]);
    unsigned running, all;
    if (sscanf(words[3], "%u/%u", &running, &all) != 2)
        return;
    describe(out, "kata_guest_tasks", "Guest system load.");
    fprintf(out, "kata_guest_tasks{item=\"cur\"} %u\nkata_guest_tasks{item=\"max\"} %u\n", running, all);
}

/* "cpu0 10 0 20 300 ...": user hertz by what they went into. */
static void put_cpu_time(FILE *out)
{
    static const char *const items[] = {
        "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"};
    _cleanup_strv_ char **lines = read_lines("/proc/stat");
    describe(out, "kata_guest_cpu_time", "Guest CPU statistics.");
    STRV_FOREACH (line, lines) {
        char *rest = NULL;
        const char *cpu = strtok_r(*line, " ", &rest);
        if (!cpu || strncmp(cpu, "cpu", 3) != 0)
            continue;
        const char *name = cpu[3] ? cpu + 3 : "total";
        for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
            const char *value = strtok_r(NULL, " ", &rest);
            if (value)
                fprintf(out, "kata_guest_cpu_time{cpu=\"%s\",item=\"%s\"} %s\n", name, items[i], value);
        }
    }
}

/* As Prometheus names things: "Active(anon)" becomes active_anon. */
static void lower_case(char *name)
{
    char *end = name;
    for (const char *from = name; *from; from++) {
        if (*from == '(')
            *end++ = '_';
        else if (*from != ')')
            *end++ = (char)tolower((unsigned char)*from);
    }
    *end = '\0';
}

/* "MemFree:   1234 kB" */
static void put_memory(FILE *out)
{
    _cleanup_strv_ char **lines = read_lines("/proc/meminfo");
    describe(out, "kata_guest_meminfo", "Statistics about memory usage in the system.");
    STRV_FOREACH (line, lines) {
        char name[64], unit[8] = "";
        uint64_t value;
        if (sscanf(*line, "%63[^:]: %" SCNu64 " %7s", name, &value, unit) < 2)
            continue;
        lower_case(name);
        fprintf(out, "kata_guest_meminfo{item=\"%s\"} %" PRIu64 "\n", name,
            strcmp(unit, "kB") == 0 ? value * 1024 : value);
    }
}

/* "pgfault 1234" */
static void put_vm_stat(FILE *out)
{
    _cleanup_strv_ char **lines = read_lines("/proc/vmstat");
    describe(out, "kata_guest_vm_stat", "Guest virtual memory statistics.");
    STRV_FOREACH (line, lines) {
        char name[64], value[24];
        if (sscanf(*line, "%63s %23s", name, value) == 2)
            put_item(out, "kata_guest_vm_stat", name, value);
    }
}

/* The columns of one line, each as a metric with two labels. */
static void put_columns(FILE *out, const char *metric, const char *label, const char *name, char *columns,
    const char *const *items, size_t count)
{
    char *rest = NULL;
    char *value = strtok_r(columns, " ", &rest);
    for (size_t i = 0; i < count && value; i++, value = strtok_r(NULL, " ", &rest))
        fprintf(out, "%s{%s=\"%s\",item=\"%s\"} %s\n", metric, label, name, items[i], value);
}

/* " 254       0 vda 120 0 ..." */
static void put_disks(FILE *out)
{
    static const char *const items[] = {"reads", "reads_merged", "sectors_read", "time_reading", "writes",
        "writes_merged", "sectors_written", "time_writing", "in_progress", "time_in_progress",
        "weighted_time_in_progress"};
    _cleanup_strv_ char **lines = read_lines("/proc/diskstats");
    describe(out, "kata_guest_diskstat", "Disks stat in system.");
    STRV_FOREACH (line, lines) {
        char name[64];
        int columns = 0;
        if (sscanf(*line, "%*u %*u %63s %n", name, &columns) == 1 && columns > 0)
            put_columns(out, "kata_guest_diskstat", "disk", name, *line + columns, items, ARRAY_SIZE(items));
    }
}

/* "  eth0: 100 1 0 ..." */
static void put_interfaces(FILE *out)
{
    static const char *const items[] = {"recv_bytes", "recv_packets", "recv_errs", "recv_drop", "recv_fifo",
        "recv_frame", "recv_compressed", "recv_multicast", "sent_bytes", "sent_packets", "sent_errs",
        "sent_drop", "sent_fifo", "sent_colls", "sent_carrier", "sent_compressed"};
    _cleanup_strv_ char **lines = read_lines("/proc/net/dev");
    describe(out, "kata_guest_netdev_stat", "Guest net devices statistics.");
    STRV_FOREACH (line, lines) {
        char name[64];
        int columns = 0;
        if (sscanf(*line, " %63[^:]: %n", name, &columns) == 1 && columns > 0)
            put_columns(
                out, "kata_guest_netdev_stat", "interface", name, *line + columns, items, ARRAY_SIZE(items));
    }
}

static unsigned count_open_files(void)
{
    unsigned count = 0;
    _cleanup_dir_ DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory))
        count++;
    return count > 3 ? count - 3 : 0; /* ".", ".." and this directory */
}

static void put_agent(FILE *out)
{
    _cleanup_strv_ char **lines = read_lines("/proc/self/statm");
    unsigned long resident = 0;
    if (lines && sscanf(lines[0], "%*u %lu", &resident) == 1) {
        describe(out, "kata_agent_process_resident_memory_bytes", "Resident memory size in bytes.");
        fprintf(out, "kata_agent_process_resident_memory_bytes %lu\n",
            resident * (unsigned long)sysconf(_SC_PAGESIZE));
    }
    describe(out, "kata_agent_process_open_fds", "Number of open file descriptors.");
    fprintf(out, "kata_agent_process_open_fds %u\n", count_open_files());
}

char *metrics_text(void)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return must_copy("");
    put_agent(out);
    put_load(out);
    put_cpu_time(out);
    put_memory(out);
    put_vm_stat(out);
    put_disks(out);
    put_interfaces(out);
    fclose(out);
    return text;
}
