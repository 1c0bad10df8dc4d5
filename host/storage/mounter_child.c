/* SPDX-License-Identifier: Apache-2.0 */
/* All calls are async-signal-safe, for the helper is a clone of a process that may have had locks. */
#include "storage/mounter_child.h"

#include "base/fd.h"
#include "storage/share.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <linux/openat2.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Where the helper mounts: it surely exists, and no root file system or volume lies below it. */
#define WORKSHOP "/sys"
/* Another process may take the loop device that was free a moment ago. */
#define LOOP_TRIES 64

/* Notes what fails, in memory that the parent reads. */
static int failed(const struct mounter_task *task, const char *doing, const char *what)
{
    int failure = errno;
    char *out = task->report->doing, *end = out + sizeof(task->report->doing) - 1;
    for (; *doing && out < end; doing++)
        *out++ = *doing;
    for (; *what && out < end; what++)
        *out++ = *what;
    *out = '\0';
    return failure;
}

/* ---- mounting ---- */

static int make_directories(const struct mounter_task *task, const struct mount_call *call)
{
    for (size_t i = 0; i < call->directory_count; i++) {
        const struct mount_directory *directory = &call->directories[i];
        if (mkdir(directory->path, directory->mode) < 0) {
            if (errno == EEXIST)
                continue;
            return failed(task, "making ", directory->path);
        }
        if (chmod(directory->path, directory->mode) < 0 ||
            chown(directory->path, directory->uid, directory->gid) < 0)
            return failed(task, "making ", directory->path);
    }
    return 0;
}

/* "/dev/loop" and a number. */
static void name_loop(char *name, long number)
{
    char digits[24];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    memcpy(name, "/dev/loop", 9);
    for (size_t i = 0; i < count; i++)
        name[9 + i] = digits[count - 1 - i];
    name[9 + count] = '\0';
}

/* A loop device for the file, which goes when its last user does. */
static int open_loop(int file, bool read_only, char *name)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    struct loop_config config = {
        .fd = (unsigned)file,
        .info = {.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0)},
    };
    int loop = -1;
    for (int i = 0; control >= 0 && i < LOOP_TRIES; i++) {
        long number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0)
            break;
        name_loop(name, number);
        loop = open(name, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (loop < 0 || ioctl(loop, LOOP_CONFIGURE, &config) == 0)
            break;
        close_fd(loop);
        loop = -1;
        if (errno != EBUSY)
            break;
    }
    close_fd(control);
    return loop;
}

static int mount_call(const struct mounter_task *task, const struct mount_call *call, const char *place)
{
    char loop_name[40];
    const char *source = call->source;
    bool read_only = call->flags & MS_RDONLY;
    int loop = -1;
    if (call->loop) {
        int file = open(source, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (file < 0)
            return failed(task, "opening ", source);
        loop = open_loop(file, read_only, loop_name);
        if (loop < 0)
            return failed(task, "making a loop device for ", source);
        close_fd(file);
        source = loop_name;
    }
    if (call->base && chdir(call->base) < 0)
        return failed(task, "entering ", call->base);
    int result = mount(source, place, call->type, call->flags, call->data);
    /* A bind mount takes note of its flags only when it is mounted again. */
    if (result == 0 && (call->flags & MS_BIND) && (call->flags & ~(unsigned long)(MS_BIND | MS_REC)))
        result = mount(NULL, place, NULL, (call->flags & ~(unsigned long)MS_REC) | MS_REMOUNT, NULL);
    if (result < 0 && errno == ENODEV)
        return failed(task, "the host's kernel knows no file system of type ", call->type);
    if (result < 0)
        return failed(task, call->flags & MS_BIND ? "binding " : "mounting ", call->source);
    close_fd(loop);
    return 0;
}

/* The target may lead through links that an image brought: they are followed inside the root only. */
static int move_below_root(const struct mounter_task *task, const char *place, int root, const char *target)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
    int fd = (int)syscall(SYS_openat2, root, target, &how, sizeof(how));
    if (fd < 0 || move_mount(AT_FDCWD, place, fd, "", MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return failed(task, "mounting on ", target);
    close_fd(fd);
    return 0;
}

static int mount_calls(const struct mounter_task *task, const struct mounter_tree *tree)
{
    if (mount("caisson", WORKSHOP, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=755") < 0)
        return failed(task, "making a place to mount", "");
    for (size_t i = 0; i < tree->call_count; i++) {
        if (mkdir(task->places[i], 0755) < 0)
            return failed(task, "making ", task->places[i]);
        int failure = make_directories(task, &tree->calls[i]);
        if (!failure)
            failure = mount_call(task, &tree->calls[i], task->places[i]);
        if (failure)
            return failure;
    }
    int root = open(task->places[tree->root], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return failed(task, "opening the root file system", "");
    for (size_t i = 0; i < tree->call_count; i++) {
        const char *target = tree->calls[i].target;
        int failure = target ? move_below_root(task, task->places[i], root, target) : 0;
        if (failure)
            return failure;
    }
    close_fd(root);
    return 0;
}

/* ---- holding trees ---- */

static int clone_tree(const char *path)
{
    return open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
}

/* One byte with the descriptor. */
static int send_tree(int tree)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.space = {0}};
    char byte = 0;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control.space,
        .msg_controllen = sizeof(control.space)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &tree, sizeof(int));
    return sendmsg(MOUNTER_FD_SOCKET, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static int hold_tree(const struct mounter_task *task, size_t index, bool *sent)
{
    const struct mounter_tree *tree = &task->trees[index];
    const char *path = tree->call_count ? task->places[tree->root] : tree->source;
    int failure = tree->call_count ? mount_calls(task, tree) : 0;
    if (failure)
        return failure;
    int held = task->held[index] = clone_tree(path);
    if (held < 0)
        return failed(task, "opening ", path);
    if (tree->call_count && !*sent) {
        int host = clone_tree(path);
        if (host < 0 || send_tree(host) < 0)
            return failed(task, "showing the host the root file system", "");
        close_fd(host);
        *sent = true;
    }
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (tree->read_only ? MOUNT_ATTR_RDONLY : 0),
        .propagation = tree->follows ? MS_SLAVE : MS_PRIVATE};
    if (mount_setattr(held, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) < 0)
        return failed(task, "protecting ", path);
    return 0;
}

/* ---- the server's world ---- */

/* Its /shared is read-only for all that is in its namespace: what is written to is another clone of it. */
static int enter_server(const struct mounter_task *task, int *ret_shared)
{
    if (setns(MOUNTER_FD_SERVER, CLONE_NEWNS) < 0)
        return failed(task, "entering the file server's mount namespace", "");
    struct mount_attr writable = {.attr_clr = MOUNT_ATTR_RDONLY};
    int shared = open_tree(AT_FDCWD, SHARE_TREE, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (shared < 0 || mount_setattr(shared, "", AT_EMPTY_PATH, &writable, sizeof(writable)) < 0)
        return failed(task, "opening the shared tree", "");
    *ret_shared = shared;
    return 0;
}

/* The name relative to /shared, cut after its `depth` first names; false where it has fewer. */
static bool cut(const char *target, int depth, char *path)
{
    size_t length = 1;
    for (; depth > 0; depth--) {
        if (!target[length - 1])
            return false;
        length += strcspn(target + length, "/") + 1;
    }
    if (length - 2 >= PATH_MAX)
        return false;
    memcpy(path, target + 1, length - 2);
    path[length - 2] = '\0';
    return true;
}

static int make_place(int shared, const struct mounter_tree *tree)
{
    char path[PATH_MAX], longer[PATH_MAX];
    for (int depth = 1; cut(tree->target, depth, path); depth++) {
        bool last = !cut(tree->target, depth + 1, longer);
        if (last && !tree->directory) {
            int fd = openat(shared, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
            if (fd < 0)
                return -1;
            close_fd(fd);
        } else if (mkdirat(shared, path, 0755) < 0 && errno != EEXIST) {
            return -1;
        }
    }
    return 0;
}

int mounter_child_add(const struct mounter_task *task)
{
    bool sent = false;
    int shared = -1, failure = 0;
    /* Nothing goes from here to the host; what comes from it goes to clones that follow it. */
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return failed(task, "leaving the host's mounts", "");
    for (size_t i = 0; i < task->count && !failure; i++)
        failure = hold_tree(task, i, &sent);
    if (!failure)
        failure = enter_server(task, &shared);
    for (size_t i = 0; i < task->count && !failure; i++) {
        if (make_place(shared, &task->trees[i]) < 0 ||
            move_mount(task->held[i], "", AT_FDCWD, task->targets[i], MOVE_MOUNT_F_EMPTY_PATH) < 0)
            failure = failed(task, "placing ", task->targets[i]);
    }
    return failure;
}

/* Its directories go when they are empty: other trees of the container may still be in them. */
static void remove_place(int shared, const struct mounter_tree *tree)
{
    char path[PATH_MAX];
    int depth = 1;
    while (cut(tree->target, depth + 1, path))
        depth++;
    for (bool last = true; depth > 0; depth--, last = false)
        if (cut(tree->target, depth, path))
            (void)unlinkat(shared, path, last && !tree->directory ? 0 : AT_REMOVEDIR);
}

int mounter_child_remove(const struct mounter_task *task)
{
    int shared = -1, failure = enter_server(task, &shared);
    for (size_t i = task->count; i > 0 && !failure; i--) {
        if (umount2(task->targets[i - 1], MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL &&
            errno != ENOENT)
            failure = failed(task, "unmounting ", task->targets[i - 1]);
        remove_place(shared, &task->trees[i - 1]);
    }
    return failure;
}
