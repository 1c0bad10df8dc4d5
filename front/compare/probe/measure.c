/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Microbenchmarks. Each repeats its operation in growing batches until one batch has taken long enough for
 * the clock not to matter, and reports the time of one operation in that batch. Nothing is averaged here: the
 * caller runs the program again and again, between runs of the other runtimes.
 */
#include "probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH_NANOSECONDS 50000000
#define BUFFER_BYTES (32u << 20)
#define PAGES 4096

static void do_getppid(uint64_t times)
{
    while (times-- > 0)
        syscall(SYS_getppid);
}

static void do_open(uint64_t times)
{
    while (times-- > 0)
        close(open("/", O_RDONLY | O_CLOEXEC));
}

static void do_fork(uint64_t times)
{
    while (times-- > 0) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
    }
}

/* One byte there and back between two processes. */
static void do_pipe(uint64_t times)
{
    int there[2], back[2];
    char byte = 0;
    if (pipe(there) < 0 || pipe(back) < 0)
        exit(125);
    pid_t child = fork();
    if (child == 0) {
        close(there[1]);
        while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
            continue;
        _exit(0);
    }
    close(there[0]);
    while (times-- > 0)
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            exit(125);
    close(there[1]);
    waitpid(child, NULL, 0);
    close(back[0]);
    close(back[1]);
}

/* The first touch of a page of fresh memory. */
static void do_fault(uint64_t times)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    while (times > 0) {
        size_t count = times < PAGES ? (size_t)times : PAGES;
        char *area = mmap(NULL, count * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED)
            exit(125);
        madvise(area, count * page, MADV_NOHUGEPAGE);
        for (size_t i = 0; i < count; i++)
            area[i * page] = 1;
        munmap(area, count * page);
        times -= count;
    }
}

/* Each step needs the one before, so nothing runs in parallel or is left out. */
static void do_integer(uint64_t times)
{
    uint64_t value = 88172645463325252u;
    while (times-- > 0)
        value = value * 6364136223846793005u + 1442695040888963407u;
    __asm__ volatile("" : : "r"(value));
}

static void do_float(uint64_t times)
{
    double value = 0.5;
    while (times-- > 0)
        value = 3.7 * value * (1.0 - value);
    __asm__ volatile("" : : "m"(value));
}

/* One operation is a copy of BUFFER_BYTES. */
static void do_memory(uint64_t times)
{
    char *from = malloc(BUFFER_BYTES), *to = malloc(BUFFER_BYTES);
    if (!from || !to)
        exit(125);
    memset(from, 1, BUFFER_BYTES);
    memset(to, 2, BUFFER_BYTES);
    while (times-- > 0) {
        memcpy(to, from, BUFFER_BYTES);
        from[0] = to[BUFFER_BYTES - 1];
    }
    free(from);
    free(to);
}

static const struct kind {
    const char *name;
    void (*run)(uint64_t times);
    uint64_t first; /* operations of the first batch */
} kinds[] = {
    {"getppid", do_getppid, 1000},
    {"open", do_open, 100},
    {"fork", do_fork, 4},
    {"pipe", do_pipe, 50},
    {"fault", do_fault, PAGES},
    {"integer", do_integer, 1000000},
    {"float", do_float, 1000000},
    {"memory", do_memory, 2},
};

/* Nanoseconds of one operation. */
static double measure(const struct kind *kind)
{
    for (uint64_t times = kind->first;; times *= 2) {
        int64_t begin = clock_now();
        kind->run(times);
        int64_t took = clock_now() - begin;
        if (took >= BATCH_NANOSECONDS)
            return (double)took / (double)times;
    }
}

static const struct kind *find(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (!strcmp(name, kinds[i].name))
            return &kinds[i];
    fprintf(stderr, "probe: nothing to measure is called %s\n", name);
    exit(125);
}

int probe_measure(char **arguments)
{
    struct json writer = {0}, *json = &writer;
    json_open(json, '{');
    for (char **name = arguments; *name; name++) {
        const struct kind *kind = find(*name);
        double nanoseconds = measure(kind);
        json_key(json, kind->name);
        /* Bytes in each nanosecond are gigabytes in each second; the rest are times. */
        json_number(json, kind->run == do_memory ? BUFFER_BYTES / nanoseconds : nanoseconds);
    }
    json_close(json, '}');
    json_done();
    return 0;
}
