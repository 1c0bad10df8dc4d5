/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/jail.h"

#include "base/fd.h"
#include "base/path.h"
#include "jail/enter.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* User ids that nobody gives to people, services or containers:
   https://systemd.io/UIDS-GIDS/ lists 1879048192 to 2147483647 as unused. */
#define FIRST_UID 1879048192u
#define UID_COUNT 65536u

/* The child puts the descriptors that it is given at low numbers, over what is there. */
#define ABOVE_CHILD_FDS 128

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS)

/* Some systems allow the namespace and no rights in it, so one is used. */
static bool can_have_user_namespace(void)
{
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0);
    int status = 1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && status == 0;
}

bool jail_complete(const char **ret_reason)
{
    if (geteuid() == 0 || can_have_user_namespace())
        return true;
    if (ret_reason)
        *ret_reason = "the kernel allows ordinary users no user namespaces "
                      "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
                      "kernel.apparmor_restrict_unprivileged_userns)";
    return false;
}

static void add_mount(
    struct jail *jail, const char *source, const char *target, bool directory, bool writable)
{
    jail->mounts = must_resize(jail->mounts, jail->mount_count + 1, sizeof(*jail->mounts));
    jail->mounts[jail->mount_count++] = (struct jail_mount){
        .source = must_copy(source),
        .target = must_copy(target),
        .writable = writable,
        .directory = directory,
    };
}

static bool is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && path[length] == '/';
}

/* /bin, /lib and so on: links into /usr on a merged system, else directories of their own. */
static void add_system_directory(struct jail *jail, const char *path)
{
    char to[PATH_MAX];
    struct stat status;
    ssize_t length = readlink(path, to, sizeof(to) - 1);
    if (length > 0) {
        to[length] = '\0';
        jail->links[jail->link_count++] = (struct jail_link){.path = path, .to = must_copy(to)};
    } else if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        add_mount(jail, path, path, true, false);
    }
}

static void add_system(struct jail *jail, const char *program)
{
    static const char *const beside_usr[] = {"/lib", "/lib64", "/bin", "/sbin"};
    add_mount(jail, "/usr", "/usr", true, false);
    for (size_t i = 0; i < ARRAY_SIZE(beside_usr); i++)
        add_system_directory(jail, beside_usr[i]);
    if (access("/etc/ld.so.cache", R_OK) == 0)
        add_mount(jail, "/etc/ld.so.cache", "/etc/ld.so.cache", false, false);
    if (!program || is_below(program, "/usr") || is_below(program, "/bin") || is_below(program, "/sbin"))
        return;
    /* PREFIX/bin/program comes with PREFIX, where its libraries and data are. */
    _cleanup_free_ char *prefix = must_copy(program);
    for (int level = 0; level < 2; level++) {
        char *slash = strrchr(prefix, '/');
        if (slash && slash != prefix)
            *slash = '\0';
    }
    add_mount(jail, prefix, prefix, true, false);
}

static struct error *add_bind(struct jail *jail, const struct jail_bind *bind)
{
    const char *target = bind->target ? bind->target : bind->source;
    struct stat status;
    if (stat(bind->source, &status) < 0)
        return error_errno(errno, "%s", bind->source);
    /* What the system's directories show already needs no mount of its own. */
    if (!bind->target && !bind->writable && is_below(target, "/usr"))
        return NULL;
    add_mount(jail, bind->source, target, S_ISDIR(status.st_mode), bind->writable);
    return NULL;
}

/* Root of a user namespace (in a container) is not root of the host: it may have no other user ids and makes
   no device nodes. */
static bool is_root_of_host(void)
{
    unsigned inside = 1, outside = 1, count = 0;
    _cleanup_file_ FILE *map = fopen("/proc/self/uid_map", "re");
    return geteuid() == 0 && map && fscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 &&
           outside == 0 && count == UINT32_MAX;
}

/* Root makes nodes of its own, which only the helper may open; in a user namespace nobody can make nodes. */
static struct error *add_device(struct jail *jail, const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return error_errno(errno, "%s", path);
    if (!is_root_of_host()) {
        add_mount(jail, path, path, false, true);
        jail->mounts[jail->mount_count - 1].device = true;
        return NULL;
    }
    jail->nodes = must_resize(jail->nodes, jail->node_count + 1, sizeof(*jail->nodes));
    jail->nodes[jail->node_count++] = (struct jail_node){.path = must_copy(path), .device = status.st_rdev};
    return NULL;
}

static void choose_identity(struct jail *jail, const struct jail_config *config)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    snprintf(jail->uid_map, sizeof(jail->uid_map), "%u %u 1", config->serve_root ? 0 : uid, uid);
    snprintf(jail->gid_map, sizeof(jail->gid_map), "%u %u 1", config->serve_root ? 0 : gid, gid);
    jail->change_user = is_root_of_host() && !config->serve_root;
    jail->uid = FIRST_UID + config->seed % UID_COUNT;
    jail->capabilities = config->serve_root ? config->capabilities : 0;
}

static struct error *add_all(struct jail *jail, const struct jail_config *config)
{
    if (config->bind_count > JAIL_BINDS_MAX)
        return error_new(ERROR_RESOURCE_EXHAUSTED, "%zu files and directories are shared; %d can be",
            config->bind_count, JAIL_BINDS_MAX);
    add_system(jail, config->program);
    for (size_t i = 0; i < config->bind_count; i++)
        TRY(add_bind(jail, &config->binds[i]));
    for (size_t i = 0; i < config->device_count; i++)
        TRY(add_device(jail, config->devices[i]));
    return NULL;
}

struct error *jail_new(const struct jail_config *config, struct jail **ret_jail)
{
    _cleanup_(jail_free) struct jail *jail = must_new(struct jail);
    jail->name = must_copy(config->name);
    jail->parent = -1;
    jail->files = config->files;
    jail->proc = config->proc;
    jail->empty = must_copy_or_null(config->empty);
    choose_identity(jail, config);
    if (jail_complete(NULL)) {
        jail->user_namespace = geteuid() != 0;
        jail->namespaces = NAMESPACES | (jail->user_namespace ? CLONE_NEWUSER : 0) |
                           (config->host_network ? 0 : CLONE_NEWNET);
        struct error *error = add_all(jail, config);
        if (error)
            return error_wrap(error, "confining %s", jail->name);
    }
    jail->report =
        mmap(NULL, sizeof(*jail->report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (jail->report == MAP_FAILED) {
        jail->report = NULL;
        return error_errno(errno, "confining %s", jail->name);
    }
    *ret_jail = TAKE_PTR(jail);
    return NULL;
}

void jail_free(struct jail *jail)
{
    if (!jail)
        return;
    for (size_t i = 0; i < jail->mount_count; i++) {
        free(jail->mounts[i].source);
        free(jail->mounts[i].target);
    }
    for (size_t i = 0; i < jail->link_count; i++)
        free(jail->links[i].to);
    for (size_t i = 0; i < jail->node_count; i++)
        free(jail->nodes[i].path);
    if (jail->report)
        munmap(jail->report, sizeof(*jail->report));
    close_fd(jail->parent);
    free(jail->mounts);
    free(jail->nodes);
    free(jail->empty);
    free(jail->name);
    free(jail);
}

struct error *jail_spawn(struct jail *jail, const struct process_options *options, pid_t *ret_pid)
{
    struct process_options confined = *options;
    confined.namespaces = jail->namespaces;
    confined.prepare = jail_enter;
    confined.prepare_context = jail;
    jail->die_with_parent = options->die_with_parent;
    close_fd(jail->parent);
    _cleanup_fd_ int parent = (int)syscall(SYS_pidfd_open, getpid(), 0);
    jail->parent = parent < 0 ? -1 : fcntl(parent, F_DUPFD_CLOEXEC, ABOVE_CHILD_FDS);
    if (jail->parent < 0)
        return error_errno(errno, "confining %s", jail->name);
    jail->report->doing[0] = '\0';
    struct error *error = process_spawn(&confined, ret_pid);
    if (!error || !jail->report->doing[0])
        return error;
    return error_wrap(error, "confining %s: %s", jail->name, jail->report->doing);
}
