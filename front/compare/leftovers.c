/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run's processes are known by its directory: a runtime has it in its command line or environment, a
 * container in its mounts; and by the cgroups that carry the run's process id. They are killed and not asked,
 * for what they belong to is gone.
 */
#include "compare/leftovers.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"
#include "compare/subject.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#define STAT_LIMIT 4096
#define TEXT_LIMIT (4u << 20)
#define SETTLE_MILLISECONDS 50
#define SETTLE_TRIES 60
#define LIST_LIMIT 10000

/* ---- whose it is ---- */

/* 0: there is no such process. */
static unsigned long long start_of(pid_t pid)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/stat", (int)pid), *text = NULL;
    unsigned long long start = 0;
    _cleanup_error_ struct error *error = file_read(AT_FDCWD, path, STAT_LIMIT, &text, NULL);
    const char *after = error ? NULL : strrchr(text, ')');
    /* Fields 3 to 21 stand before it. */
    if (after)
        sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
            &start);
    return start;
}

struct owner owner_self(void)
{
    return (struct owner){getpid(), start_of(getpid())};
}

bool owner_lives(struct owner owner)
{
    return start_of(owner.pid) == owner.start;
}

char *owner_directory(struct owner owner, const char *above)
{
    return must_printf("%s/" WORK_PREFIX "%d-%llu.XXXXXX", above, (int)owner.pid, owner.start);
}

char *owner_namespace(struct owner owner)
{
    return must_printf("caisson-compare-%d-%llu", (int)owner.pid, owner.start);
}

bool owner_parse(const char *name, struct owner *ret_owner)
{
    int pid = 0, length = 0;
    unsigned long long start = 0;
    if (sscanf(name, "caisson-compare%*1[.-]%d-%llu%n", &pid, &start, &length) != 2 || pid <= 0)
        return false;
    if (name[length] != '\0' && name[length] != '.')
        return false;
    *ret_owner = (struct owner){pid, start};
    return true;
}

/* ---- processes ---- */

static bool file_has(pid_t pid, const char *file, const char *word)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/%s", (int)pid, file), *text = NULL;
    size_t length = 0;
    _cleanup_error_ struct error *error = file_read(AT_FDCWD, path, TEXT_LIMIT, &text, &length);
    return !error && length > 0 && memmem(text, length, word, strlen(word)) != NULL;
}

static bool belongs(pid_t pid, const char *mark, const char *cgroup)
{
    return file_has(pid, "cmdline", mark) || file_has(pid, "environ", mark) ||
           file_has(pid, "mountinfo", mark) || file_has(pid, "cgroup", cgroup);
}

/* Returns how many there were. */
static unsigned kill_once(const char *mark, const char *cgroup)
{
    _cleanup_dir_ DIR *directory = opendir("/proc");
    struct dirent *entry;
    unsigned count = 0;
    while (directory && (entry = readdir(directory))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 1 && pid != getpid() && pid != getppid() && belongs(pid, mark, cgroup))
            count += kill(pid, SIGKILL) == 0;
    }
    return count;
}

static void kill_all(struct launcher *launcher, const char *mark, const char *cgroup)
{
    for (int i = 0; i < SETTLE_TRIES && kill_once(mark, cgroup) > 0; i++)
        launcher_wait(launcher, SETTLE_MILLISECONDS);
}

/* ---- mounts ---- */

/* Those below the directory, the last one first; in this mount namespace. */
static void unmount_below(const char *directory)
{
    _cleanup_free_ char *text = NULL, *below = must_printf("%s/", directory);
    _cleanup_error_ struct error *error =
        file_read(AT_FDCWD, "/proc/self/mountinfo", TEXT_LIMIT, &text, NULL);
    _cleanup_strv_ char **lines = error ? NULL : strv_split(text, '\n');
    for (size_t i = strv_length(lines); i-- > 0;) {
        char place[4096];
        if (sscanf(lines[i], "%*s %*s %*s %*s %4095s", place) == 1 && !strncmp(place, below, strlen(below)))
            umount2(place, MNT_DETACH);
    }
}

/* ---- one run ---- */

/* Strangers may make a directory of any name in a place that is open to all. */
static bool is_ours(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid();
}

static bool sweep_directory(struct launcher *launcher, const char *above, const char *name)
{
    struct owner owner;
    _cleanup_free_ char *path = must_printf("%s/%s", above, name);
    if (!owner_parse(name, &owner) || owner_lives(owner) || !is_ours(path))
        return false;
    _cleanup_free_ char *cgroup = must_printf("/compare-%d-", (int)owner.pid);
    kill_all(launcher, name, cgroup);
    unmount_below(path);
    cgroups_sweep(launcher, owner.pid);
    _cleanup_error_ struct error *error = tree_remove(path);
    return !error;
}

static unsigned sweep_directories(struct launcher *launcher, const char *above)
{
    _cleanup_dir_ DIR *directory = opendir(above);
    _cleanup_strv_ char **names = NULL;
    struct dirent *entry;
    unsigned count = 0;
    while (directory && (entry = readdir(directory)))
        if (!strncmp(entry->d_name, WORK_PREFIX, strlen(WORK_PREFIX)))
            strv_append(&names, entry->d_name);
    STRV_FOREACH (name, names)
        count += sweep_directory(launcher, above, *name);
    return count;
}

unsigned leftovers_sweep(struct launcher *launcher, const char *above, const char *containerd)
{
    bool was_calm = launcher->calm;
    launcher->calm = true;
    unsigned count = sweep_directories(launcher, above);
    if (containerd)
        containerd_sweep(launcher, containerd);
    launcher->calm = was_calm;
    return count;
}
