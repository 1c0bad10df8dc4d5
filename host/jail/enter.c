/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child was cloned into new namespaces and still sees the host's files. It first takes hold of every
 * tree that it shall keep (open_tree clones a mount without placing it), then makes an empty tmpfs its root
 * and drops the old one, and at last puts the trees in place. So no path of the host is looked up in a half
 * built root, where a link could lead elsewhere.
 *
 * All calls are async-signal-safe.
 */
#include "jail/enter.h"

#include "base/fd.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

/* Notes what fails, in memory that the parent reads. */
static int failed(const struct jail *jail, const char *doing, const char *what)
{
    int failure = errno;
    char *out = jail->report->doing, *end = out + sizeof(jail->report->doing) - 1;
    for (; *doing && out < end; doing++)
        *out++ = *doing;
    for (; *what && out < end; what++)
        *out++ = *what;
    *out = '\0';
    return failure;
}

static int write_once(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t written = write(fd, text, strlen(text));
    close_fd(fd);
    return written < 0 ? -1 : 0;
}

/* One id, so no helper program with privileges is needed; setgroups must be given up for it. */
static int map_user(const struct jail *jail)
{
    if (write_once("/proc/self/setgroups", "deny") < 0)
        return failed(jail, "giving up group changes", "");
    if (write_once("/proc/self/uid_map", jail->uid_map) < 0)
        return failed(jail, "mapping the user id", "");
    if (write_once("/proc/self/gid_map", jail->gid_map) < 0)
        return failed(jail, "mapping the group id", "");
    return 0;
}

/* Takes hold of the trees: each a mount that is in no place yet. */
static int hold_trees(const struct jail *jail, int trees[])
{
    /* First of all: a clone of a shared mount would pass mounts on to the host and back. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return failed(jail, "leaving the host's mounts", "");
    for (size_t i = 0; i < jail->mount_count; i++) {
        const struct jail_mount *mount = &jail->mounts[i];
        trees[i] = open_tree(AT_FDCWD, mount->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        if (trees[i] < 0)
            return failed(jail, "opening ", mount->source);
        struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID |
                                                    (mount->device ? 0 : MOUNT_ATTR_NODEV) |
                                                    (mount->writable ? 0 : MOUNT_ATTR_RDONLY)};
        if (mount_setattr(trees[i], "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) < 0)
            return failed(jail, "protecting ", mount->source);
    }
    return 0;
}

/* A new proc of our own pid namespace. In a user namespace the kernel allows that only while another whole
   proc can be seen, so before the host's root is left. */
static int hold_proc(const struct jail *jail, int *ret_tree)
{
    int context = fsopen("proc", FSOPEN_CLOEXEC);
    if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return failed(jail, "making ", "/proc");
    *ret_tree = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (*ret_tree < 0)
        return failed(jail, "making ", "/proc");
    close_fd(context);
    return 0;
}

/* /tmp is but a place that surely exists: the new root is gone from there after the switch. */
static int switch_root(const struct jail *jail)
{
    if (mount("jail", "/tmp", "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k,mode=755") < 0)
        return failed(jail, "making a root", "");
    if (chdir("/tmp") < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
        return failed(jail, "changing the root", "");
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return failed(jail, "leaving the host's root", "");
    return 0;
}

/* Directories above the last element; what exists is fine. */
static void make_parents(const char *path)
{
    char copy[PATH_MAX];
    size_t length = strlen(path);
    if (length >= sizeof(copy))
        return;
    memcpy(copy, path, length + 1);
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(copy, 0755);
        *slash = '/';
    }
}

static int place_trees(const struct jail *jail, const int trees[])
{
    for (size_t i = 0; i < jail->mount_count; i++) {
        const struct jail_mount *mount = &jail->mounts[i];
        make_parents(mount->target);
        if (mount->directory)
            (void)mkdir(mount->target, 0755);
        else
            close_fd(open(mount->target, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
        if (move_mount(trees[i], "", AT_FDCWD, mount->target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
            return failed(jail, "placing ", mount->target);
        close_fd(trees[i]);
    }
    return 0;
}

/* Read-only as this mount, not as a file system: whoever made the jail can have another mount of it. */
static int make_empty(const struct jail *jail)
{
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    if (mkdir(jail->empty, 0755) < 0 ||
        mount("shared", jail->empty, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
            "size=1m,nr_inodes=16384,mode=755") < 0 ||
        mount_setattr(AT_FDCWD, jail->empty, 0, &read_only, sizeof(read_only)) < 0)
        return failed(jail, "making ", jail->empty);
    return 0;
}

static int make_entries(const struct jail *jail, int proc)
{
    for (size_t i = 0; i < jail->link_count; i++) {
        if (symlink(jail->links[i].to, jail->links[i].path) < 0)
            return failed(jail, "linking ", jail->links[i].path);
    }
    for (size_t i = 0; i < jail->node_count; i++) {
        const struct jail_node *node = &jail->nodes[i];
        make_parents(node->path);
        if (mknod(node->path, S_IFCHR | 0600, node->device) < 0 ||
            (jail->change_user && chown(node->path, jail->uid, jail->uid) < 0))
            return failed(jail, "making ", node->path);
    }
    if (proc >= 0 &&
        (mkdir("/proc", 0755) < 0 || move_mount(proc, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0))
        return failed(jail, "placing ", "/proc");
    close_fd(proc);
    int failure = jail->empty ? make_empty(jail) : 0;
    if (failure)
        return failure;
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    if (mount_setattr(AT_FDCWD, "/", 0, &read_only, sizeof(read_only)) < 0)
        return failed(jail, "making the root read-only", "");
    return 0;
}

static int build_root(const struct jail *jail)
{
    int trees[JAIL_BINDS_MAX + 8];
    if (jail->mount_count > ARRAY_SIZE(trees))
        return E2BIG;
    int proc = -1;
    int failure = hold_trees(jail, trees);
    if (!failure && jail->proc)
        failure = hold_proc(jail, &proc);
    if (!failure)
        failure = switch_root(jail);
    if (!failure)
        failure = place_trees(jail, trees);
    return failure ? failure : make_entries(jail, proc);
}

/* Not everyone may raise the hard limit; what it allows must then do. */
static int limit_resources(const struct jail *jail)
{
    const struct rlimit none = {0, 0};
    struct rlimit files = {jail->files, jail->files}, now;
    if (getrlimit(RLIMIT_NOFILE, &now) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        return failed(jail, "limiting resources", "");
    if (setrlimit(RLIMIT_NOFILE, &files) == 0)
        return 0;
    if (errno != EPERM || now.rlim_max > jail->files)
        return failed(jail, "limiting open files", "");
    files = (struct rlimit){now.rlim_max, now.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &files) < 0 ? failed(jail, "limiting open files", "") : 0;
}

static int set_capabilities(uint64_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)kept, .permitted = (uint32_t)kept},
        {.effective = (uint32_t)(kept >> 32), .permitted = (uint32_t)(kept >> 32)},
    };
    return (int)syscall(SYS_capset, &header, data);
}

/* What is not in the bounding set cannot come back by the exec of a program as root. */
static int drop_privileges(const struct jail *jail)
{
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++) {
        if (!(jail->capabilities >> capability & 1) && prctl(PR_CAPBSET_DROP, capability) < 0 &&
            errno != EPERM)
            return failed(jail, "dropping capabilities", "");
    }
    if (jail->change_user && (setgroups(0, NULL) < 0 || setresgid(jail->uid, jail->uid, jail->uid) < 0 ||
                                 setresuid(jail->uid, jail->uid, jail->uid) < 0))
        return failed(jail, "changing the user", "");
    if (jail->namespaces && set_capabilities(jail->capabilities) < 0)
        return failed(jail, "dropping capabilities", "");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return failed(jail, "giving up new privileges", "");
    return 0;
}

/* The kernel forgets the death signal when credentials change, so it is set again at the end; a parent that
   died in between is seen through its pidfd, for getppid() says nothing across a pid namespace. */
static int tie_to_parent(const struct jail *jail)
{
    struct pollfd parent = {.fd = jail->parent, .events = POLLIN};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return failed(jail, "tying it to its parent", "");
    return poll(&parent, 1, 0) > 0 ? ESRCH : 0;
}

int jail_enter(void *argument)
{
    const struct jail *jail = argument;
    int failure = 0;
    umask(022);
    if (jail->user_namespace)
        failure = map_user(jail);
    if (!failure && jail->namespaces) {
        (void)sethostname("jail", 4);
        failure = build_root(jail);
    }
    if (!failure)
        failure = limit_resources(jail);
    if (!failure)
        failure = drop_privileges(jail);
    if (!failure && jail->die_with_parent)
        failure = tie_to_parent(jail);
    return failure;
}
