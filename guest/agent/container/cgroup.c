/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/cgroup.h"

#include "agent/container/cgroup_file.h"
#include "base/fd.h"
#include "base/strv.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

/* Deeper trees of cgroups are not removed; the kernel's own limit (cgroup.max.depth) can be set lower. */
#define CGROUP_DEPTH_MAX 64
#define EVENTS_TEXT_MAX 256

struct cgroup {
    int parent; /* directory that holds it */
    char *name;
    int fd;
};

void cgroup_free(struct cgroup *cgroup)
{
    if (!cgroup)
        return;
    close_fd(cgroup->fd);
    close_fd(cgroup->parent);
    free(cgroup->name);
    free(cgroup);
}

int cgroup_fd(const struct cgroup *cgroup)
{
    return cgroup->fd;
}

/* Hands every controller of a cgroup to those below it. */
static struct error *enable_controllers(int directory)
{
    _cleanup_free_ char *available = NULL;
    _cleanup_free_ char *enabled = NULL;
    TRY(cgroup_file_read(directory, "cgroup.controllers", &available));
    TRY(cgroup_file_read(directory, "cgroup.subtree_control", &enabled));
    available[strcspn(available, "\n")] = '\0';
    enabled[strcspn(enabled, "\n")] = '\0';
    _cleanup_strv_ char **wanted = strv_split(available, ' ');
    _cleanup_strv_ char **present = strv_split(enabled, ' ');
    STRV_FOREACH (name, wanted) {
        if (**name && !strv_contains(present, *name))
            TRY(cgroup_file_printf(directory, "cgroup.subtree_control", "+%s", *name));
    }
    return NULL;
}

static struct error *open_child(int parent, const char *name, int *ret_fd)
{
    if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
        return error_errno(errno, "making the cgroup \"%s\"", name);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "opening the cgroup \"%s\"", name);
    *ret_fd = fd;
    return NULL;
}

static struct error *check_empty(const struct cgroup *cgroup)
{
    _cleanup_free_ char *procs = NULL;
    TRY(cgroup_file_read(cgroup->fd, "cgroup.procs", &procs));
    if (*procs)
        return error_new(
            ERROR_ALREADY_EXISTS, "the cgroup \"%s\" is there already and has processes", cgroup->name);
    return NULL;
}

/* Takes the descriptor of the directory to begin at. */
static struct error *descend(struct cgroup *cgroup, int directory, char *const *names)
{
    cgroup->fd = directory;
    STRV_FOREACH (name, names) {
        if (**name == '\0')
            continue;
        if (strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
            return error_new(ERROR_INVALID_ARGUMENT, "\"%s\" is no name for a cgroup", *name);
        TRY(error_wrap(enable_controllers(cgroup->fd), "giving controllers to \"%s\"", *name));
        close_fd(cgroup->parent);
        cgroup->parent = TAKE_FD(cgroup->fd);
        TRY(open_child(cgroup->parent, *name, &cgroup->fd));
        free(cgroup->name);
        cgroup->name = must_copy(*name);
    }
    if (!cgroup->name)
        return error_new(ERROR_INVALID_ARGUMENT, "a container needs a cgroup below the root");
    return check_empty(cgroup);
}

struct error *cgroup_create(const char *root, const char *path, struct cgroup **ret_cgroup)
{
    int directory = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return error_errno(errno, "opening the root of the cgroups, %s", root);
    _cleanup_(cgroup_free) struct cgroup *cgroup = must_new(struct cgroup);
    cgroup->parent = cgroup->fd = -1;
    _cleanup_strv_ char **names = strv_split(path, '/');
    TRY(descend(cgroup, directory, names));
    *ret_cgroup = TAKE_PTR(cgroup);
    return NULL;
}

struct error *cgroup_open_process(const char *root, pid_t pid, int *ret_fd)
{
    char file[48];
    snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
    _cleanup_free_ char *text = NULL;
    TRY(file_read(AT_FDCWD, file, 64u << 10, &text, NULL));
    /* The line of the v2 hierarchy, "0::/path", comes last where there are others. */
    char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!line)
        return error_new(ERROR_NOT_FOUND, "process %d is in no cgroup", (int)pid);
    char *path = strstr(line, "::") + 2;
    path[strcspn(path, "\n")] = '\0';
    _cleanup_free_ char *full = must_printf("%s%s", root, path);
    int fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "opening the cgroup %s", full);
    *ret_fd = fd;
    return NULL;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct error *read_events(int events, char text[EVENTS_TEXT_MAX])
{
    ssize_t length = pread(events, text, EVENTS_TEXT_MAX - 1, 0);
    if (length < 0)
        return error_errno(errno, "reading cgroup.events");
    text[length] = '\0';
    return NULL;
}

/* Waits until cgroup.events says so; the kernel wakes pollers at each change of it. */
static struct error *wait_event(const struct cgroup *cgroup, const char *key, uint64_t wanted)
{
    _cleanup_fd_ int events = openat(cgroup->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    if (events < 0)
        return error_errno(errno, "cgroup.events");
    int64_t deadline = now_ms() + CGROUP_SETTLE_MS;
    for (;;) {
        char text[EVENTS_TEXT_MAX];
        TRY(read_events(events, text));
        uint64_t value = 0;
        if (cgroup_text_value(text, key, &value) && value == wanted)
            return NULL;
        int64_t left = deadline - now_ms();
        if (left <= 0)
            return error_new(ERROR_DEADLINE_EXCEEDED, "the cgroup \"%s\" did not become %s=%llu in %d s",
                cgroup->name, key, (unsigned long long)wanted, CGROUP_SETTLE_MS / 1000);
        struct pollfd changed = {.fd = events, .events = POLLPRI};
        if (poll(&changed, 1, (int)left) < 0 && errno != EINTR)
            return error_errno(errno, "waiting for cgroup.events");
    }
}

struct error *cgroup_freeze(const struct cgroup *cgroup, bool frozen)
{
    TRY(cgroup_file_write(cgroup->fd, "cgroup.freeze", frozen ? "1" : "0"));
    return wait_event(cgroup, "frozen", frozen);
}

static void append_pids(const char *text, pid_t **pids, size_t *count)
{
    for (const char *line = text; *line;) {
        char *end = NULL;
        long pid = strtol(line, &end, 10);
        if (end == line)
            return;
        if (pid > 0) {
            *pids = must_resize(*pids, *count + 1, sizeof(pid_t));
            (*pids)[(*count)++] = (pid_t)pid;
        }
        line = end + strspn(end, "\n");
    }
}

typedef struct error *cgroup_visit(void *context, int directory);

/* The cgroup and all below it, parents first. */
static struct error *walk(int directory, int depth, cgroup_visit *visit, void *context)
{
    TRY(visit(context, directory));
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_dir_ DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries || depth == CGROUP_DEPTH_MAX)
        return error_errno(entries ? ELOOP : errno, "listing the cgroup");
    for (struct dirent *entry; (entry = readdir(entries));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        _cleanup_fd_ int child = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (child >= 0)
            TRY(walk(child, depth + 1, visit, context));
    }
    return NULL;
}

struct pid_list {
    pid_t *pids;
    size_t count;
};

static struct error *visit_pids(void *context, int directory)
{
    struct pid_list *list = context;
    _cleanup_free_ char *text = NULL;
    TRY(cgroup_file_read(directory, "cgroup.procs", &text));
    append_pids(text, &list->pids, &list->count);
    return NULL;
}

struct error *cgroup_pids(const struct cgroup *cgroup, pid_t **ret_pids, size_t *ret_count)
{
    struct pid_list list = {0};
    struct error *error = walk(cgroup->fd, 0, visit_pids, &list);
    if (error) {
        free(list.pids);
        return error;
    }
    *ret_pids = list.pids;
    *ret_count = list.count;
    return NULL;
}

struct error *cgroup_signal(const struct cgroup *cgroup, int signal)
{
    if (signal == SIGKILL)
        return cgroup_file_write(cgroup->fd, "cgroup.kill", "1");
    _cleanup_free_ pid_t *pids = NULL;
    size_t count = 0;
    TRY(cgroup_pids(cgroup, &pids, &count));
    for (size_t i = 0; i < count; i++)
        if (kill(pids[i], signal) < 0 && errno != ESRCH)
            return error_errno(errno, "sending signal %d to process %d", signal, (int)pids[i]);
    return NULL;
}

static struct error *remove_below(int directory, int depth)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_dir_ DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries || depth == CGROUP_DEPTH_MAX)
        return error_errno(entries ? ELOOP : errno, "listing the cgroup");
    for (struct dirent *entry; (entry = readdir(entries));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        _cleanup_fd_ int child = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (child < 0)
            continue;
        TRY(remove_below(child, depth + 1));
        if (unlinkat(directory, entry->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
            return error_errno(errno, "removing the cgroup \"%s\"", entry->d_name);
    }
    return NULL;
}

struct error *cgroup_destroy(const struct cgroup *cgroup)
{
    TRY(cgroup_file_write(cgroup->fd, "cgroup.kill", "1"));
    TRY(wait_event(cgroup, "populated", 0));
    TRY(remove_below(cgroup->fd, 0));
    if (unlinkat(cgroup->parent, cgroup->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return error_errno(errno, "removing the cgroup \"%s\"", cgroup->name);
    return NULL;
}

struct error *cgroup_delegate(const struct cgroup *cgroup, uid_t uid, gid_t gid)
{
    /* https://docs.kernel.org/admin-guide/cgroup-v2.html#model-of-delegation */
    static const char *const files[] = {".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        if (fchownat(cgroup->fd, files[i], uid, gid, 0) < 0)
            return error_errno(errno, "handing the cgroup's %s to the container", files[i]);
    return NULL;
}

int cgroup_watch_memory(const struct cgroup *cgroup)
{
    _cleanup_fd_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch < 0)
        return -1;
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d/memory.events", cgroup->fd);
    if (inotify_add_watch(watch, path, IN_MODIFY) < 0)
        return -1;
    return TAKE_FD(watch);
}

struct error *cgroup_oom_kills(const struct cgroup *cgroup, uint64_t *ret_kills)
{
    _cleanup_free_ char *text = NULL;
    TRY(cgroup_file_read(cgroup->fd, "memory.events", &text));
    uint64_t kills = 0;
    if (!cgroup_text_value(text, "oom_kill", &kills))
        return error_new(ERROR_UNIMPLEMENTED, "memory.events does not count oom_kill");
    *ret_kills = kills;
    return NULL;
}
