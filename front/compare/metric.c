/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/metric.h"

#include <string.h>

const struct group_description groups[GROUP_COUNT] = {
    [GROUP_STARTUP] = {"startup", "Start-up",
        "A container whose only command ends at once, from the start of the runtime's program to its end; "
        "and the "
        "same in the runtime's own steps, where it has them."},
    [GROUP_SYSCALLS] = {"syscalls", "System calls",
        "One operation at a time in a loop of at least 50 ms: a call that does nothing, opening and closing "
        "a "
        "directory, a child that ends at once, one byte to another process and back, the first touch of a "
        "page; and "
        "a walk over 4,000 files of the root file system."},
    [GROUP_CPU] = {"cpu", "Processor and memory speed",
        "A chain of integer and of floating point operations, each of which needs the one before, and "
        "copying 32 MiB "
        "from one place in memory to another."},
    [GROUP_FILES] = {"files", "Files",
        "A file written in blocks of 1 MiB and synced, read again, and then read and written in blocks of 4 "
        "KiB at "
        "random places; in the container's own root file system and in a directory of the host (a volume)."},
    [GROUP_NETWORK] = {"network", "Network",
        "A web server with one small page in the container, asked from the host over one connection at a "
        "time, each "
        "request on a new one (latency), and then over one connection as fast as it answers (rate)."},
    [GROUP_MEMORY] = {"memory", "Idle cost",
        "A container that waits: the proportional memory (Pss) of every process that the host runs for it, "
        "the "
        "program in the foreground that started it included, and the processor time that these use "
        "meanwhile."},
    [GROUP_DENSITY] = {"density", "How many fit",
        "Idle containers started one after the other until the limit or until half of the free memory is "
        "used. What each further one costs is told twice: by the proportional memory (Pss) of all "
        "processes, and by what the whole machine has left (MemAvailable), which also counts what the kernel "
        "holds for it. How many would fit is the free memory over the dearer of the two."},
};

const struct metric_description metrics[METRIC_COUNT] = {
    [METRIC_RUN] = {"startup.run", GROUP_STARTUP, "start to exit", "ms", false, NULL},
    [METRIC_CREATE] = {"startup.create", GROUP_STARTUP, "create", "ms", false, NULL},
    [METRIC_START] = {"startup.start", GROUP_STARTUP, "start", "ms", false, NULL},
    [METRIC_EXEC] = {"startup.exec", GROUP_STARTUP, "exec", "ms", false, NULL},
    [METRIC_DELETE] = {"startup.delete", GROUP_STARTUP, "delete", "ms", false, NULL},
    [METRIC_GETPPID] = {"syscalls.getppid", GROUP_SYSCALLS, "getppid", "ns", false, "getppid"},
    [METRIC_OPEN] = {"syscalls.open", GROUP_SYSCALLS, "open and close", "µs", false, "open", 1e-3},
    [METRIC_FORK] = {"syscalls.fork", GROUP_SYSCALLS, "fork and wait", "µs", false, "fork", 1e-3},
    [METRIC_PIPE] = {"syscalls.pipe", GROUP_SYSCALLS, "pipe round trip", "µs", false, "pipe", 1e-3},
    [METRIC_FAULT] = {"syscalls.fault", GROUP_SYSCALLS, "page fault", "µs", false, "fault", 1e-3},
    [METRIC_WALK] = {"syscalls.walk", GROUP_SYSCALLS, "walk over 4,000 files", "ms", false, "walk"},
    [METRIC_INTEGER] = {"cpu.integer", GROUP_CPU, "integer step", "ns", false, "integer"},
    [METRIC_FLOAT] = {"cpu.float", GROUP_CPU, "floating point step", "ns", false, "float"},
    [METRIC_COPY] = {"cpu.copy", GROUP_CPU, "memory copy", "GB/s", true, "memory"},
    [METRIC_SYSBENCH] = {"cpu.sysbench", GROUP_CPU, "sysbench cpu, primes up to 10,000", "/s", true, NULL},
    [METRIC_ROOT_WRITE] = {"files.root.write", GROUP_FILES, "root: write", "MB/s", true, "write"},
    [METRIC_ROOT_READ] = {"files.root.read", GROUP_FILES, "root: read", "MB/s", true, "read"},
    [METRIC_ROOT_RANDOM_READ] = {"files.root.random_read", GROUP_FILES, "root: random reads", "/s", true,
        "random_read"},
    [METRIC_ROOT_RANDOM_WRITE] = {"files.root.random_write", GROUP_FILES, "root: random writes", "/s", true,
        "random_write"},
    [METRIC_VOLUME_WRITE] = {"files.volume.write", GROUP_FILES, "volume: write", "MB/s", true, "write"},
    [METRIC_VOLUME_READ] = {"files.volume.read", GROUP_FILES, "volume: read", "MB/s", true, "read"},
    [METRIC_VOLUME_RANDOM_READ] = {"files.volume.random_read", GROUP_FILES, "volume: random reads", "/s",
        true, "random_read"},
    [METRIC_VOLUME_RANDOM_WRITE] = {"files.volume.random_write", GROUP_FILES, "volume: random writes", "/s",
        true, "random_write"},
    [METRIC_FIO_ROOT_WRITE] = {"files.fio.root.write", GROUP_FILES, "fio, root: write", "MB/s", true,
        "write"},
    [METRIC_FIO_ROOT_READ] = {"files.fio.root.read", GROUP_FILES, "fio, root: read", "MB/s", true, "read"},
    [METRIC_FIO_ROOT_RANDOM_READ] = {"files.fio.root.random_read", GROUP_FILES, "fio, root: random reads",
        "/s", true, "random_read"},
    [METRIC_FIO_ROOT_RANDOM_WRITE] = {"files.fio.root.random_write", GROUP_FILES, "fio, root: random writes",
        "/s", true, "random_write"},
    [METRIC_FIO_VOLUME_WRITE] = {"files.fio.volume.write", GROUP_FILES, "fio, volume: write", "MB/s", true,
        "write"},
    [METRIC_FIO_VOLUME_READ] = {"files.fio.volume.read", GROUP_FILES, "fio, volume: read", "MB/s", true,
        "read"},
    [METRIC_FIO_VOLUME_RANDOM_READ] = {"files.fio.volume.random_read", GROUP_FILES,
        "fio, volume: random reads", "/s", true, "random_read"},
    [METRIC_FIO_VOLUME_RANDOM_WRITE] = {"files.fio.volume.random_write", GROUP_FILES,
        "fio, volume: random writes", "/s", true, "random_write"},
    [METRIC_HTTP_LATENCY] = {"network.latency", GROUP_NETWORK, "one request", "ms", false, NULL},
    [METRIC_HTTP_RATE] = {"network.rate", GROUP_NETWORK, "requests", "/s", true, NULL},
    [METRIC_HTTP_LOAD] = {"network.load", GROUP_NETWORK, "requests of wrk, 16 connections", "/s", true, NULL},
    [METRIC_APP_READY] = {"network.app_ready", GROUP_NETWORK, "application: start to first answer", "ms",
        false, NULL},
    [METRIC_APP_LATENCY] = {"network.app", GROUP_NETWORK, "application: one request", "ms", false, NULL},
    [METRIC_APP_LOAD] = {"network.app_load", GROUP_NETWORK, "application: requests of wrk, 16 connections",
        "/s", true, NULL},
    [METRIC_IDLE_MEMORY] = {"memory.pss", GROUP_MEMORY, "memory of an idle container", "MiB", false, NULL},
    [METRIC_IDLE_CPU] = {"memory.cpu", GROUP_MEMORY, "processor while idle", "ms/s", false, NULL},
    [METRIC_DENSITY_STARTED] = {"density.started", GROUP_DENSITY, "at once", "idle containers", true, NULL},
    [METRIC_DENSITY_PSS] = {"density.pss", GROUP_DENSITY, "each further one, Pss", "MiB", false, NULL},
    [METRIC_DENSITY_AVAILABLE] = {"density.available", GROUP_DENSITY,
        "each further one, memory that the machine lost", "MiB", false, NULL},
    [METRIC_DENSITY_FIT] = {"density.fit", GROUP_DENSITY, "would fit in the free memory", "containers", true,
        NULL},
};

enum metric metric_by_id(const char *id)
{
    enum metric metric = 0;
    while (metric < METRIC_COUNT && strcmp(metrics[metric].id, id) != 0)
        metric++;
    return metric;
}

enum metric_group group_by_id(const char *id)
{
    enum metric_group group = 0;
    while (group < GROUP_COUNT && strcmp(groups[group].id, id) != 0)
        group++;
    return group;
}
