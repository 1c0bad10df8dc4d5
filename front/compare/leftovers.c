/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run's processes are known by its directory: a runtime has it in its command line or environment, a
 * container is rooted in it; and by cgroups that carry the run's process id. They are killed and not asked,
 * for what they belong to is gone.
 */
#include "compare/leftovers.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"
#include "compare/subject.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#define STAT_LIMIT 4096
#define TEXT_LIMIT (4u << 20)
#define SETTLE_MILLISECONDS 50
#define SETTLE_TRIES 60
#define LIST_LIMIT 10000

/* ---- whose it is ---- */

/* 0: there is no such process, or only what its parent has not reaped. */
static unsigned long long start_of(pid_t pid)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/stat", (int)pid), *text = NULL;
    unsigned long long start = 0;
    char state = 'Z';
    _cleanup_error_ struct error *error = file_read(AT_FDCWD, path, STAT_LIMIT, &text, NULL);
    const char *after = error ? NULL : strrchr(text, ')');
    /* Fields 3 to 21 stand before it. */
    if (after)
        sscanf(after + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
            &state, &start);
    return state == 'Z' || state == 'X' ? 0 : start;
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

/* What its processes have to do with it. */
struct dead_run {
    const char *name;    /* the last part of its directory's path */
    char *states;        /* "NAME/state-": runtimes with a command line are told so */
    char *caisson_state; /* "NAME/caisson-state" */
    char *cgroup;        /* "/compare-PID-" */
};

static void dead_run_clear(struct dead_run *run)
{
    free(run->states);
    free(run->caisson_state);
    free(run->cgroup);
}

static bool file_has(pid_t pid, const char *file, const char *word)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/%s", (int)pid, file), *text = NULL;
    size_t length = 0;
    _cleanup_error_ struct error *error = file_read(AT_FDCWD, path, TEXT_LIMIT, &text, &length);
    return !error && length > 0 && memmem(text, length, word, strlen(word)) != NULL;
}

/* Whether its root directory is one of that run's: a container. "36 35 8:1 /ROOT / rw ...": which directory
   of its file system is mounted at which place. */
static bool is_rooted_in(pid_t pid, const char *name)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/mountinfo", (int)pid), *text = NULL;
    _cleanup_error_ struct error *error = file_read(AT_FDCWD, path, TEXT_LIMIT, &text, NULL);
    _cleanup_strv_ char **lines = error ? NULL : strv_split(text, '\n');
    STRV_FOREACH (line, lines) {
        char root[PATH_MAX], place[PATH_MAX];
        if (sscanf(*line, "%*s %*s %*s %4095s %4095s", root, place) == 2 && !strcmp(place, "/") &&
            strstr(root, name))
            return true;
    }
    return false;
}

/* Not everybody who names the directory: somebody may be looking at it. */
static bool belongs(pid_t pid, const struct dead_run *run)
{
    return file_has(pid, "cmdline", run->states) || file_has(pid, "cmdline", run->caisson_state) ||
           file_has(pid, "environ", run->caisson_state) || file_has(pid, "cgroup", run->cgroup) ||
           is_rooted_in(pid, run->name);
}

/* Returns how many there were. */
static unsigned kill_once(const struct dead_run *run)
{
    _cleanup_dir_ DIR *directory = opendir("/proc");
    struct dirent *entry;
    unsigned count = 0;
    while (directory && (entry = readdir(directory))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 1 && pid != getpid() && pid != getppid() && belongs(pid, run))
            count += kill(pid, SIGKILL) == 0;
    }
    return count;
}

static void kill_all(struct launcher *launcher, const struct dead_run *run)
{
    for (int i = 0; i < SETTLE_TRIES && kill_once(run) > 0; i++)
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
        char place[PATH_MAX];
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

struct error *leftovers_claim(const char *directory, int *ret_lock)
{
    _cleanup_fd_ int lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
        return error_errno(errno, "locking %s", directory);
    *ret_lock = TAKE_FD(lock);
    return NULL;
}

static bool sweep_directory(struct launcher *launcher, const char *above, const char *name)
{
    struct owner owner;
    _cleanup_free_ char *path = must_printf("%s/%s", above, name);
    _cleanup_fd_ int lock = -1;
    if (!owner_parse(name, &owner) || owner_lives(owner) || !is_ours(path))
        return false;
    _cleanup_error_ struct error *claimed = leftovers_claim(path, &lock);
    if (claimed)
        return false;
    struct dead_run run = {.name = name,
        .states = must_printf("%s/state-", name),
        .caisson_state = must_printf("%s/caisson-state", name),
        .cgroup = must_printf("/compare-%d-", (int)owner.pid)};
    kill_all(launcher, &run);
    dead_run_clear(&run);
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
