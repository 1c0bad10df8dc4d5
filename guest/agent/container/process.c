/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/process.h"

#include "agent/container/capability.h"
#include "agent/container/identity.h"
#include "base/fd.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/ioprio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define UMASK_DEFAULT 0022

static const struct {
    const char *name;
    int resource;
} rlimit_names[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

static struct error *set_rlimit(const Grpc__POSIXRlimit *entry, pid_t pid)
{
    for (size_t i = 0; i < ARRAY_SIZE(rlimit_names); i++) {
        if (strcmp(rlimit_names[i].name, entry->type) != 0)
            continue;
        struct rlimit limit = {.rlim_cur = entry->soft, .rlim_max = entry->hard};
        if (prlimit(pid, (enum __rlimit_resource)rlimit_names[i].resource, &limit, NULL) < 0)
            return error_errno(errno, "setting %s", entry->type);
        return NULL;
    }
    return error_new(ERROR_INVALID_ARGUMENT, "\"%.40s\" is no resource limit", entry->type);
}

static struct error *set_io_priority(const Grpc__LinuxIOPriority *priority, pid_t pid)
{
    int class = strcmp(priority->class_, "IOPRIO_CLASS_RT") == 0     ? IOPRIO_CLASS_RT
                : strcmp(priority->class_, "IOPRIO_CLASS_BE") == 0   ? IOPRIO_CLASS_BE
                : strcmp(priority->class_, "IOPRIO_CLASS_IDLE") == 0 ? IOPRIO_CLASS_IDLE
                                                                     : IOPRIO_CLASS_NONE;
    if (class == IOPRIO_CLASS_NONE || priority->priority < 0 || priority->priority > 7)
        return error_new(ERROR_INVALID_ARGUMENT, "there is no I/O priority %d of class \"%.40s\"",
            priority->priority, priority->class_);
    if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, IOPRIO_PRIO_VALUE(class, priority->priority)) < 0)
        return error_errno(errno, "setting the I/O priority");
    return NULL;
}

static struct error *set_rlimits(const struct process_setup *setup, pid_t pid)
{
    for (size_t i = 0; i < setup->rlimit_count; i++)
        TRY(set_rlimit(setup->rlimits[i], pid));
    return NULL;
}

struct error *process_limit(const struct process_setup *setup, pid_t pid)
{
    if (setup->limit_early)
        TRY(set_rlimits(setup, pid));
    if (setup->process->io_priority)
        TRY(set_io_priority(setup->process->io_priority, pid));
    char path[48] = "/proc/self/oom_score_adj";
    char score[24];
    if (pid > 0)
        snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
    snprintf(score, sizeof(score), "%lld", (long long)setup->oom_score_adj);
    return error_wrap(file_write_text(AT_FDCWD, path, score), "setting the out-of-memory score");
}

/* /dev/stdout and its like lead to these descriptors and are opened with the user's rights. */
static void give_streams(uid_t uid)
{
    for (int fd = 0; fd < 3; fd++) {
        struct stat status;
        if (fstat(fd, &status) < 0 || status.st_uid == uid)
            continue;
        bool null_device = S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
        /* What cannot be given away (a read-only file, an id that is not mapped) still works as it is. */
        if (!null_device && fchown(fd, uid, (gid_t)-1) < 0)
            continue;
    }
}

static struct error *change_user(const struct identity *identity)
{
    if (setgroups(identity->group_count, identity->groups) < 0)
        return error_errno(errno, "setting the supplementary groups");
    if (setresgid(identity->gid, identity->gid, identity->gid) < 0)
        return error_errno(errno, "changing to group %u", identity->gid);
    if (setresuid(identity->uid, identity->uid, identity->uid) < 0)
        return error_errno(errno, "changing to user %u", identity->uid);
    return NULL;
}

/* The directory may be one that only root or only the user may enter, so both try. */
static struct error *change_user_and_directory(const struct identity *identity, const char *cwd)
{
    TRY(capability_keep(true));
    bool entered = chdir(cwd) == 0;
    if (!entered && errno != EACCES && errno != EPERM)
        return error_errno(errno, "chdir to cwd (\"%s\") set in config.json failed", cwd);
    TRY(change_user(identity));
    TRY(capability_keep(false));
    if (!entered && chdir(cwd) < 0)
        return error_errno(errno, "chdir to cwd (\"%s\") set in config.json failed", cwd);
    char path[PATH_MAX];
    if (!getcwd(path, sizeof(path)) && errno == ENOENT)
        return error_new(
            ERROR_PERMISSION_DENIED, "the working directory \"%s\" lies outside of the container", cwd);
    return NULL;
}

struct error *process_confine(struct process_setup *setup)
{
    const Grpc__Process *process = setup->process;
    static const Grpc__User root = GRPC__USER__INIT;
    const Grpc__User *user = process->user ? process->user : &root;
    _cleanup_identity_ struct identity identity = {0};
    TRY(identity_look_up(user, &identity));
    setup->home = TAKE_PTR(identity.home);
    struct capability_sets sets = capability_sets_of(setup->capabilities);
    give_streams(identity.uid);
    if (!setup->limit_early)
        TRY(set_rlimits(setup, 0));
    umask(user->has_umask_case == GRPC__USER__HAS_UMASK_UMASK ? user->umask & 0777 : UMASK_DEFAULT);
    if (process->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(errno, "setting no_new_privs");
    /* Without no_new_privs only a capability lets a filter in, and the next lines drop it. */
    if (!process->no_new_privileges && setup->filter)
        TRY(seccomp_filter_install(setup->filter));
    TRY(capability_drop_bounding(sets.bounding));
    TRY(change_user_and_directory(&identity, *process->cwd ? process->cwd : "/"));
    return capability_apply(&sets);
}

struct error *process_install_late_filter(const struct process_setup *setup)
{
    if (!setup->process->no_new_privileges || !setup->filter)
        return NULL;
    return seccomp_filter_install(setup->filter);
}
