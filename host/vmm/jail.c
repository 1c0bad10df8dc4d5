/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/jail.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <malloc.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

/* The ids of host/jail/jail.c. */
#define FIRST_ID 1879048192u
#define ID_COUNT 65536u

/* --- namespaces, root, capabilities --- */

/*
 * A mount on the root itself cannot be seen by its path, but entered by its descriptor; then it becomes the
 * root, and what was there before is let go.
 */
static struct error *empty_root(void)
{
    _cleanup_fd_ int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "size", "4096", 0) < 0 ||
        fsconfig(context, FSCONFIG_SET_STRING, "mode", "0555", 0) < 0 ||
        fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return error_errno(errno, "making an empty root");
    _cleanup_fd_ int root = fsmount(context, FSMOUNT_CLOEXEC,
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (root < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(root) < 0 ||
        syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return error_errno(errno, "entering an empty root");
    return NULL;
}

/* Whether the kernel just does not let this user have namespaces. */
static bool is_refusal(int errnum)
{
    return errnum == EPERM || errnum == ENOSPC || errnum == EUSERS || errnum == ENOSYS || errnum == EINVAL;
}

/*
 * Root takes an id that belongs to nobody, another one for each process: a user namespace takes away root's
 * privileges over files, but not over other processes of root. Where root is not the host's, and has no such
 * ids, it stays: the ids of its own namespace are somebody else's on the host.
 */
static struct error *leave_root(void)
{
    uid_t id = FIRST_ID + (uid_t)getpid() % ID_COUNT;
    if (geteuid() != 0)
        return NULL;
    if (setgroups(0, NULL) == 0 && setresgid(id, id, id) == 0 && setresuid(id, id, id) == 0)
        return NULL;
    return errno == EINVAL || errno == EPERM ? NULL : error_errno(errno, "changing the user");
}

/* Everything that the user namespace owns is without privilege outside of it, for root as well. */
static struct error *leave_the_host(bool *ret_alone)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) <
        0) {
        if (!is_refusal(errno))
            return error_errno(errno, "entering namespaces");
        *ret_alone = false;
        return NULL;
    }
    TRY(empty_root());
    *ret_alone = true;
    return NULL;
}

static struct error *drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {0};
    for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++) {
        if (prctl(PR_CAPBSET_DROP, capability) < 0 && errno != EPERM)
            return error_errno(errno, "dropping capabilities");
    }
    if (syscall(SYS_capset, &header, none) < 0)
        return error_errno(errno, "dropping capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(errno, "giving up new privileges");
    return NULL;
}

/* A dump would hold the guest's memory; nobody of the same user may look into this process; and it ends with
   its owner, which the kernel forgets when the user changes. */
static struct error *protect(void)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return error_errno(errno, "protecting the guest's memory");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return error_errno(errno, "tying it to its owner");
    return NULL;
}

/* What the C library would look for in files later, when nothing can be opened any more, it is to know now or
   never: the log's time zone; and whether memory may be given back, which only a second arena of malloc asks.
 */
static void settle_library(void)
{
    tzset();
    (void)mallopt(M_ARENA_MAX, 1);
}

struct error *jail_enter(int first_fd, bool *ret_alone)
{
    if (close_range((unsigned)first_fd, ~0u, 0) < 0)
        return error_errno(errno, "closing descriptors");
    bool alone;
    settle_library();
    TRY(leave_root());
    TRY(leave_the_host(&alone));
    TRY(drop_capabilities());
    TRY(protect());
    *ret_alone = alone;
    return NULL;
}

/* --- system calls --- */

struct allowed {
    int call;
    unsigned threads; /* enum jail_thread */
    /* Where mask is not 0: only with (argument & mask) == value; OWN_PROCESS stands for our process id. */
    unsigned argument;
    uint64_t mask, value;
};

#define ALL (JAIL_MAIN | JAIL_VCPU | JAIL_WORKER)
#define WHOLE UINT64_MAX
#define OWN_PROCESS UINT64_MAX

static const struct allowed allowed[] = {
    /* To run the guest, and nothing else of KVM: no memory, no interrupts, no other processor. */
    {SCMP_SYS(ioctl), JAIL_VCPU, 1, WHOLE, KVM_RUN},
    /* The guest's driver of a network card says which offloads it can do. */
    {SCMP_SYS(ioctl), JAIL_VCPU, 1, WHOLE, TUNSETOFFLOAD},
    /* Eventfds: notifications of queues, interrupts, jobs that are done, the machine's end. The serial port's
       output. */
    {SCMP_SYS(read), JAIL_MAIN | JAIL_VCPU},
    {SCMP_SYS(write), ALL},
    /* Taps and the link. */
    {SCMP_SYS(readv), JAIL_MAIN},
    {SCMP_SYS(writev), JAIL_MAIN},
    /* The control channel. A file server, which is told by the guest's processor when its driver starts. */
    {SCMP_SYS(recvmsg), JAIL_MAIN},
    {SCMP_SYS(recvfrom), JAIL_MAIN | JAIL_VCPU},
    {SCMP_SYS(sendmsg), JAIL_MAIN | JAIL_VCPU},
    /* Sockets whose other end is gone. */
    {SCMP_SYS(close), JAIL_MAIN},
    {SCMP_SYS(shutdown), JAIL_MAIN},
    /* The event loop. */
    {SCMP_SYS(epoll_wait), JAIL_MAIN},
    {SCMP_SYS(epoll_ctl), JAIL_MAIN},
    /* Disks: the main thread takes what the page cache has, the rest is the workers'. */
    {SCMP_SYS(preadv2), JAIL_MAIN | JAIL_WORKER},
    {SCMP_SYS(pwritev2), JAIL_WORKER},
    {SCMP_SYS(fdatasync), JAIL_WORKER},
    /* Discards of a disk; memory of a file that the guest gives back. */
    {SCMP_SYS(fallocate), JAIL_MAIN | JAIL_WORKER},
    /* Other memory that the guest gives back; and malloc. */
    {SCMP_SYS(madvise), ALL},
    /* The guest's random numbers. */
    {SCMP_SYS(getrandom), JAIL_MAIN},
    /* Locks. */
    {SCMP_SYS(futex), ALL},
    /* malloc; never code. */
    {SCMP_SYS(mmap), ALL, 2, PROT_EXEC, 0},
    {SCMP_SYS(mprotect), ALL, 2, PROT_EXEC, 0},
    {SCMP_SYS(mremap), ALL},
    {SCMP_SYS(munmap), ALL},
    {SCMP_SYS(brk), ALL},
    /* Time, where the kernel's page for it does not do. */
    {SCMP_SYS(clock_gettime), ALL},
    {SCMP_SYS(gettimeofday), ALL},
    /* Kicks of processors, and abort: to threads of this process only. The handler returns. */
    {SCMP_SYS(tgkill), ALL, 0, WHOLE, OWN_PROCESS},
    {SCMP_SYS(gettid), ALL},
    {SCMP_SYS(getpid), ALL},
    {SCMP_SYS(rt_sigprocmask), ALL},
    {SCMP_SYS(rt_sigreturn), ALL},
    {SCMP_SYS(rt_sigaction), ALL},
    {SCMP_SYS(restart_syscall), ALL},
    /* The end. */
    {SCMP_SYS(exit), ALL},
    {SCMP_SYS(exit_group), ALL},
};

static int allow(scmp_filter_ctx filter, const struct allowed *rule)
{
    if (rule->mask == 0)
        return seccomp_rule_add_exact(filter, SCMP_ACT_ALLOW, rule->call, 0);
    uint64_t value = rule->value == OWN_PROCESS ? (uint64_t)getpid() : rule->value;
    return seccomp_rule_add_exact(filter, SCMP_ACT_ALLOW, rule->call, 1,
        SCMP_CMP(rule->argument, SCMP_CMP_MASKED_EQ, rule->mask, value));
}

static int fill(scmp_filter_ctx filter, enum jail_thread thread)
{
    int failure = 0;
    for (size_t i = 0; !failure && i < ARRAY_SIZE(allowed); i++) {
        if (allowed[i].threads & thread)
            failure = allow(filter, &allowed[i]);
    }
    return failure;
}

struct error *jail_confine(enum jail_thread thread)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return error_new(ERROR_INTERNAL, "making an allow-list of system calls");
    int failure = fill(filter, thread);
    if (!failure)
        failure = seccomp_load(filter);
    seccomp_release(filter);
    return failure ? error_errno(-failure, "limiting system calls") : NULL;
}

unsigned jail_call_count(enum jail_thread thread)
{
    unsigned count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
        count += allowed[i].threads & thread ? 1 : 0;
    return count;
}
