/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child is a copy of the supervisor that executes nothing: an exec would need a program of its own, and
 * costs more memory than the copy, which shares every page that neither of the two writes to. What the
 * supervisor writes to most is its heap, so the copy gives its own up.
 *
 * It begins on an empty, read-only root in a mount namespace of its own, so that it holds none of the host's
 * mounts. A root file system that it is given later is put beside it and then takes its place; for that it
 * keeps CAP_SYS_ADMIN until it is told what its root is.
 */
#include "sandbox/stand_in_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SOCKET 0
#define NETWORK 1
#define ROOT_PLACE "/rootfs"

static void tell(enum stand_in_event event, int value, const char *doing)
{
    struct stand_in_message message = {.event = event, .value = value};
    strncpy(message.doing, doing, sizeof(message.doing) - 1);
    (void)send(SOCKET, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* What failed, for tell; NULL is success. */
typedef const char *failure;

/* ---- its name ---- */

/* Of /proc/self/stat (proc(5)): fields 47 to 49. */
struct layout {
    unsigned long heap;
    unsigned long arguments;
    unsigned long arguments_end;
};

static bool read_layout(struct layout *ret_layout)
{
    char text[1024];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    close(fd);
    if (length <= 0)
        return false;
    text[length] = '\0';
    char *at = strrchr(text, ')');
    unsigned long values[50] = {0};
    at = at && at[1] && at[2] ? at + 3 : NULL; /* behind the state, which is field 3 */
    for (size_t field = 4; at && *at && field < ARRAY_SIZE(values); field++)
        values[field] = strtoul(at, &at, 10);
    *ret_layout = (struct layout){.heap = values[47], .arguments = values[48], .arguments_end = values[49]};
    return values[47] && values[48] && values[49] > values[48];
}

/* The arguments of the supervisor are overwritten, as many as there are; where the kernel allows it they end
   with the new name. */
static void set_name(const char *name, const struct layout *layout)
{
    char title[128];
    int length = snprintf(title, sizeof(title), "caisson: %s", name);
    prctl(PR_SET_NAME, title);
    if (!layout)
        return;
    char *arguments = (char *)layout->arguments;
    size_t room = layout->arguments_end - layout->arguments;
    size_t used = (size_t)length < room ? (size_t)length : room - 1;
    memset(arguments, 0, room);
    memcpy(arguments, title, used);
    prctl(PR_SET_MM, PR_SET_MM_ARG_END, layout->arguments + used + 1, 0, 0);
}

/* From here on there is no malloc. */
static void drop_heap(const struct layout *layout)
{
    unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE);
    unsigned long begin = (layout->heap + page - 1) & ~(page - 1);
    unsigned long end = (unsigned long)sbrk(0) & ~(page - 1);
    if (end > begin)
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* ---- its namespaces ---- */

static failure raise_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool raised = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    int saved = errno;
    close(fd);
    errno = saved;
    return raised ? NULL : "raising the loopback";
}

static failure enter_namespaces(const struct stand_in_child *child)
{
    const struct stand_in_config *config = child->config;
    bool new_network = config->network && !*config->network;
    if (child->network >= 0 && setns(NETWORK, CLONE_NEWNET) < 0)
        return "entering the network namespace";
    if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | (new_network ? CLONE_NEWNET : 0)) < 0)
        return "making namespaces";
    if (*config->hostname && sethostname(config->hostname, strlen(config->hostname)) < 0)
        return "setting the host name";
    return new_network ? raise_loopback() : NULL;
}

/* The working directory becomes the root, and what was the root is gone. */
static bool switch_root(void)
{
    return syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
}

/* /tmp is but a place that surely exists. */
static failure empty_root(void)
{
    struct mount_attr read_only = {
        .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return "leaving the host's mounts";
    if (mount("caisson", "/tmp", "tmpfs", 0, "size=64k,mode=755") < 0)
        return "making an empty root";
    if (chdir("/tmp") < 0 || !switch_root())
        return "changing the root";
    if (mkdir(ROOT_PLACE, 0755) < 0 || mount_setattr(AT_FDCWD, "/", 0, &read_only, sizeof(read_only)) < 0)
        return "protecting the empty root";
    return NULL;
}

/* Files are read and written there from the host's side (`nerdctl cp`), never run or opened as devices. */
static failure take_root(int tree)
{
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, .propagation = MS_PRIVATE};
    if (move_mount(tree, "", AT_FDCWD, ROOT_PLACE, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return "placing the root file system";
    if (chdir(ROOT_PLACE) < 0 || !switch_root())
        return "changing to the root file system";
    if (mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attributes, sizeof(attributes)) < 0)
        return "protecting the root file system";
    return NULL;
}

/* ---- its privileges ---- */

static failure keep_capabilities(uint32_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = kept, .permitted = kept}};
    return syscall(SYS_capset, &header, data) < 0 ? "giving up capabilities" : NULL;
}

/* Not dumpable: another root without CAP_SYS_PTRACE, such as that of a container with the host's pids, cannot
   use it to get at the container. */
static failure drop_privileges(void)
{
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
        if (prctl(PR_CAPBSET_DROP, capability) < 0)
            return "giving up capabilities";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return "giving up privileges";
    return keep_capabilities(1u << CAP_SYS_ADMIN);
}

/* ---- its life ---- */

/* The job control of a terminal, and what the kernel sends by itself, are no signals to the container. */
static bool is_passed_on(int number)
{
    static const int own[] = {SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        if (number == own[i])
            return false;
    return true;
}

static void pass_signal_on(int signals)
{
    struct signalfd_siginfo info;
    if (read(signals, &info, sizeof(info)) == sizeof(info) && is_passed_on((int)info.ssi_signo))
        tell(STAND_IN_SIGNALLED, (int)info.ssi_signo, "");
}

/* A tree, or -1 where none came with the message; false when the supervisor is gone. */
static bool receive_tree(int *ret_tree)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char byte;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    if (recvmsg(SOCKET, &message, MSG_CMSG_CLOEXEC) <= 0)
        return false;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *ret_tree = -1;
    if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_tree, CMSG_DATA(header), sizeof(*ret_tree));
    return true;
}

static void settle_root(void)
{
    int tree = -1;
    if (!receive_tree(&tree))
        _exit(0);
    failure failed = tree >= 0 ? take_root(tree) : NULL;
    int reason = failed ? errno : 0;
    close(tree);
    failure kept = keep_capabilities(0);
    if (!failed && kept)
        reason = errno;
    tell(STAND_IN_ROOTED, reason, failed ? failed : kept ? kept : "");
}

/* Sleeps, for as long as the supervisor wants it. */
static void live(int signals) __attribute__((noreturn));
static void live(int signals)
{
    struct pollfd events[] = {{.fd = SOCKET, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    for (;;) {
        if (poll(events, ARRAY_SIZE(events), -1) < 0)
            continue;
        if (events[0].revents)
            settle_root();
        if (events[1].revents)
            pass_signal_on(signals);
    }
}

/* Nothing of the supervisor's stays but the two descriptors; ignored signals would not be seen. */
static failure begin(const struct stand_in_child *child)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    setsid();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != child->parent)
        return "tying it to the supervisor";
    if (child->network >= 0 && dup2(child->network, NETWORK) < 0)
        return "keeping the network namespace";
    close_range(child->network >= 0 ? NETWORK + 1 : SOCKET + 1, ~0u, 0);
    return NULL;
}

static failure set_up(const struct stand_in_child *child, int *ret_signals)
{
    struct layout layout;
    bool known = read_layout(&layout);
    sigset_t all;
    failure failed = begin(child);
    if (!failed)
        failed = enter_namespaces(child);
    if (!failed)
        failed = empty_root();
    if (failed)
        return failed;
    set_name(child->config->name, known ? &layout : NULL);
    close(NETWORK);
    sigfillset(&all);
    *ret_signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (*ret_signals < 0)
        return "watching signals";
    failed = drop_privileges();
    if (!failed && known)
        drop_heap(&layout);
    return failed;
}

/* After a failure it waits for its end: the supervisor has it in hand. */
void stand_in_run(const struct stand_in_child *child)
{
    int signals = -1;
    if (dup2(child->socket, SOCKET) < 0)
        _exit(1);
    failure failed = set_up(child, &signals);
    tell(STAND_IN_READY, failed ? errno : 0, failed ? failed : "");
    live(signals);
}
