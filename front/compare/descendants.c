/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a runtime leaves running descends from this process, because this process adopts orphans. What
 * containerd runs for us descends from its shims instead, which carry the name of our namespace in their
 * command lines. /proc is read twice at most: once for parents, once for the numbers of those that are ours.
 */
#include "compare/launch.h"

#include "base/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define PROCESSES_MAX 65536
#define STAT_MAX 4096

struct relation {
    pid_t pid, parent;
    bool is_root; /* whose descendants are looked for */
};

struct family {
    struct relation *all;
    size_t count;
};

/* The parent stands after the name, which may hold anything but ends with the last parenthesis. */
static pid_t parent_of(pid_t pid)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/stat", (int)pid), *text = NULL;
    size_t length;
    int parent = 0;
    struct error *error = file_read(AT_FDCWD, path, STAT_MAX, &text, &length);
    if (error) {
        error_free(error);
        return 0;
    }
    const char *after = strrchr(text, ')');
    return after && sscanf(after + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

/* Whether it is one of containerd's shims with that word among its arguments. */
static bool is_shim_of(pid_t pid, const char *mark)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/cmdline", (int)pid), *text = NULL;
    size_t length = 0;
    struct error *error = file_read(AT_FDCWD, path, STAT_MAX, &text, &length);
    bool found = !error && length > 0 && strstr(text, "containerd-shim") &&
                 memmem(text, length, mark, strlen(mark)) != NULL;
    error_free(error);
    return found;
}

/* Roots are the shims with the mark, or without one this process. */
static void family_read(struct family *family, const char *mark)
{
    DIR *directory = opendir("/proc");
    struct dirent *entry;
    *family = (struct family){0};
    while (directory && family->count < PROCESSES_MAX && (entry = readdir(directory))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0)
            continue;
        family->all = must_resize(family->all, family->count + 1, sizeof(*family->all));
        family->all[family->count++] =
            (struct relation){pid, parent_of(pid), mark ? is_shim_of(pid, mark) : pid == getpid()};
    }
    if (directory)
        closedir(directory);
}

static const struct relation *lookup(const struct family *family, pid_t pid)
{
    for (size_t i = 0; i < family->count; i++)
        if (family->all[i].pid == pid)
            return &family->all[i];
    return NULL;
}

static bool descends(const struct family *family, const struct relation *one)
{
    for (int depth = 0; one && depth < 64; depth++) {
        one = lookup(family, one->parent);
        if (one && one->is_root)
            return true;
    }
    return false;
}

/* "Pss:  1234 kB" of smaps_rollup; the kernel divides each page among those who map it. */
static double pss_of(pid_t pid)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/smaps_rollup", (int)pid), *text = NULL;
    size_t length;
    long kibibytes = 0;
    struct error *error = file_read(AT_FDCWD, path, STAT_MAX, &text, &length);
    const char *line = error ? NULL : strstr(text, "\nPss:");
    error_free(error);
    return line && sscanf(line, "\nPss: %ld", &kibibytes) == 1 ? (double)kibibytes / 1024 : 0;
}

/* Nanoseconds on a processor, of all threads: the first number of their schedstat. */
static double cpu_of(pid_t pid)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/task", (int)pid);
    DIR *directory = opendir(path);
    struct dirent *entry;
    double milliseconds = 0;
    while (directory && (entry = readdir(directory))) {
        _cleanup_free_ char *file = must_printf("%s/%s/schedstat", path, entry->d_name), *text = NULL;
        size_t length;
        struct error *error = entry->d_name[0] == '.' ? error_new(ERROR_NOT_FOUND, "-")
                                                      : file_read(AT_FDCWD, file, STAT_MAX, &text, &length);
        if (!error)
            milliseconds += (double)strtoull(text, NULL, 10) / 1e6;
        error_free(error);
    }
    if (directory)
        closedir(directory);
    return milliseconds;
}

struct usage descendants_usage(const char *mark)
{
    struct family family;
    struct usage usage = {0};
    family_read(&family, mark);
    for (size_t i = 0; i < family.count; i++) {
        pid_t pid = family.all[i].pid;
        bool is_shim = mark && family.all[i].is_root;
        if (!is_shim && !descends(&family, &family.all[i]))
            continue;
        usage.pss_mebibytes += pss_of(pid);
        usage.cpu_milliseconds += cpu_of(pid);
        usage.processes++;
    }
    free(family.all);
    return usage;
}

unsigned descendants_end(void)
{
    struct family family;
    unsigned count = 0;
    family_read(&family, NULL);
    for (size_t i = 0; i < family.count; i++)
        if (descends(&family, &family.all[i])) {
            kill(family.all[i].pid, SIGKILL);
            count++;
        }
    free(family.all);
    while (waitpid(-1, NULL, WNOHANG) > 0 || (count > 0 && waitpid(-1, NULL, 0) > 0))
        continue;
    return count;
}
