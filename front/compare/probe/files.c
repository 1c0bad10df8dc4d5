/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES (1u << 20)
#define RANDOM_BYTES 4096u
#define RANDOM_NANOSECONDS 300000000

static __attribute__((noreturn)) void fail(const char *doing, const char *path)
{
    fprintf(stderr, "probe: %s %s: %s\n", doing, path, strerror(errno));
    exit(125);
}

/* ---- one big file ---- */

static char block[BLOCK_BYTES];

/* Megabytes in each second, the data safe on what the file lies on. */
static double write_file(const char *path, uint64_t bytes)
{
    int64_t begin = clock_now();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        fail("creating", path);
    for (uint64_t done = 0; done < bytes; done += BLOCK_BYTES)
        if (write(fd, block, BLOCK_BYTES) != (ssize_t)BLOCK_BYTES)
            fail("writing", path);
    if (fsync(fd) < 0)
        fail("syncing", path);
    close(fd);
    return (double)bytes * 1e3 / (double)(clock_now() - begin);
}

static double read_file(const char *path, uint64_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail("opening", path);
    /* What this kernel still has of it would not be read again; advice may be refused, which the label says.
     */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    int64_t begin = clock_now();
    for (uint64_t done = 0; done < bytes; done += BLOCK_BYTES)
        if (read(fd, block, BLOCK_BYTES) != (ssize_t)BLOCK_BYTES)
            fail("reading", path);
    double rate = (double)bytes * 1e3 / (double)(clock_now() - begin);
    close(fd);
    return rate;
}

/* Operations in each second, one at a time, at places that depend on nothing but the order. */
static double visit(const char *path, uint64_t bytes, bool writes)
{
    int fd = open(path, (writes ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    if (fd < 0)
        fail("opening", path);
    uint64_t place = 1, count = 0, blocks = bytes / RANDOM_BYTES;
    int64_t begin = clock_now(), end = begin;
    for (; end - begin < RANDOM_NANOSECONDS; count++) {
        place = place * 6364136223846793005u + 1442695040888963407u;
        off_t at = (off_t)((place >> 33) % blocks * RANDOM_BYTES);
        ssize_t done = writes ? pwrite(fd, block, RANDOM_BYTES, at) : pread(fd, block, RANDOM_BYTES, at);
        if (done != (ssize_t)RANDOM_BYTES)
            fail(writes ? "writing" : "reading", path);
        end = clock_now();
    }
    close(fd);
    return (double)count * 1e9 / (double)(end - begin);
}

int probe_files(char **arguments)
{
    struct json writer = {0}, *json = &writer;
    char path[PATH_MAX];
    uint64_t bytes = strtoull(arguments[1], NULL, 10) / BLOCK_BYTES * BLOCK_BYTES;
    snprintf(path, sizeof(path), "%s/probe-%d", arguments[0], (int)getpid());
    if (bytes == 0)
        return 125;
    memset(block, 'x', sizeof(block));
    double written = write_file(path, bytes);
    double read_back = read_file(path, bytes);
    double reads = visit(path, bytes, false);
    double writes = visit(path, bytes, true);
    unlink(path);
    json_open(json, '{');
    json_key(json, "write");
    json_number(json, written);
    json_key(json, "read");
    json_number(json, read_back);
    json_key(json, "random_read");
    json_number(json, reads);
    json_key(json, "random_write");
    json_number(json, writes);
    json_close(json, '}');
    json_done();
    return 0;
}

/* ---- many small ones ---- */

static int64_t count_files(char *directory)
{
    char *const roots[] = {directory, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_XDEV, NULL);
    int64_t files = 0;
    FTSENT *entry;
    if (!walk)
        fail("walking", directory);
    while ((entry = fts_read(walk)))
        files += entry->fts_info == FTS_F;
    fts_close(walk);
    return files;
}

int probe_walk(char **arguments)
{
    struct json writer = {0}, *json = &writer;
    int64_t begin = clock_now();
    int64_t files = count_files(arguments[0]);
    double milliseconds = (double)(clock_now() - begin) / 1e6;
    json_open(json, '{');
    json_key(json, "files");
    json_whole(json, files);
    json_key(json, "walk");
    json_number(json, milliseconds);
    json_close(json, '}');
    json_done();
    return 0;
}
