/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default profile: an allow-list of system calls, a few with conditions on their arguments, and groups
 * that come with a capability. Names that a kernel or architecture lacks are skipped where the filter is
 * made, so one list serves 64-bit and 32-bit programs.
 *
 * Left out is what reaches kernel code that few programs need and attackers like: loading modules, other
 * processes' namespaces, the kernel keyring, io_uring, userfaultfd, raw performance counters, old and
 * obsolete calls.
 */
#include "cli/seccomp.h"

#include "base/strv.h"

#include <errno.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/socket.h>

/* clone(2)'s flags that make namespaces: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
#define CLONE_NAMESPACES 0x7e020000

#define QUERY_PERSONALITY 0xffffffff

static const char allowed[] =
    /* files */
    "access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat "
    "faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat "
    "fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 "
    "fstatfs "
    "fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat ioctl "
    "lchown "
    "lchown32 lgetxattr link linkat listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek "
    "lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 "
    "pipe "
    "pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv "
    "removexattr "
    "removexattrat rename renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat "
    "stat64 "
    "statfs statfs64 statmount statx symlink symlinkat sync sync_file_range sync_file_range2 syncfs tee "
    "truncate "
    "truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev "
    "fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch "
    "landlock_add_rule landlock_create_ruleset landlock_restrict_self "
    /* memory */
    "brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap "
    "mmap2 "
    "mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect "
    "remap_file_pages cachestat "
    /* processes */
    "execve execveat exit exit_group fork vfork wait4 waitid waitpid kill tkill tgkill getpid getppid gettid "
    "getpgid getpgrp getsid setpgid setsid getpriority setpriority getrlimit setrlimit ugetrlimit prlimit64 "
    "getrusage times getcpu ioprio_get ioprio_set pidfd_open pidfd_send_signal prctl process_mrelease rseq "
    "sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam "
    "sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr "
    "sched_setparam sched_setscheduler sched_yield seccomp set_robust_list get_robust_list set_thread_area "
    "get_thread_area set_tid_address arch_prctl modify_ldt futex futex_requeue futex_time64 futex_wait "
    "futex_waitv futex_wake restart_syscall sysinfo uname ptrace process_vm_readv process_vm_writev "
    /* users */
    "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid "
    "getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid "
    "setgid32 "
    "setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid "
    "setreuid32 "
    "setuid setuid32 "
    /* signals */
    "alarm pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend "
    "rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack signal signalfd signalfd4 "
    "sigprocmask "
    "sigreturn "
    /* waiting */
    "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old "
    "eventfd "
    "eventfd2 io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit "
    "_newselect "
    "poll ppoll ppoll_time64 pselect6 pselect6_time64 select "
    /* time */
    "adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 "
    "clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create "
    "timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 "
    "timerfd_create "
    "timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 "
    /* sockets and System V and POSIX messages */
    "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg "
    "recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketpair "
    "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
    "mq_timedsend_time64 "
    "mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl "
    "shmdt "
    "shmget "
    /* chance */
    "getrandom uretprobe";

/* What a capability brings with it. */
static const struct {
    const char *capability;
    const char *names;
} groups[] = {
    {"CAP_BPF", "bpf"},
    {"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    {"CAP_PERFMON", "perf_event_open"},
    {"CAP_SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr "
        "move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog "
        "umount "
        "umount2 unshare"},
    {"CAP_SYS_BOOT", "reboot"},
    {"CAP_SYS_CHROOT", "chroot"},
    {"CAP_SYS_MODULE", "delete_module finit_module init_module"},
    {"CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {"CAP_SYS_PACCT", "acct"},
    {"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"},
    {"CAP_SYS_RAWIO", "ioperm iopl"},
    {"CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"},
    {"CAP_SYS_TTY_CONFIG", "vhangup"},
    {"CAP_SYSLOG", "syslog"},
};

static json_t *names_to_json(const char *names)
{
    _cleanup_strv_ char **list = strv_split(names, ' ');
    json_t *array = json_array();

    STRV_FOREACH (name, list) {
        json_array_append_new(array, json_string(*name));
    }
    return array;
}

static json_t *allow(const char *names)
{
    return json_pack("{s:o, s:s}", "names", names_to_json(names), "action", "SCMP_ACT_ALLOW");
}

static json_t *allow_where(const char *name, json_int_t value, json_int_t second, const char *comparison)
{
    return json_pack("{s:[s], s:s, s:[{s:i, s:I, s:I, s:s}]}", "names", name, "action", "SCMP_ACT_ALLOW",
        "args", "index", 0, "value", value, "valueTwo", second, "op", comparison);
}

/* Sockets of all families but two: AF_VSOCK, which would speak to the host's side of the virtual machine, and
   AF_ALG, the kernel's cryptography. AF_ALG is 38, AF_VSOCK is 40. */
static void add_sockets(json_t *rules)
{
    json_array_append_new(rules, allow_where("socket", AF_ALG, 0, "SCMP_CMP_LT"));
    json_array_append_new(rules, allow_where("socket", AF_ALG + 1, 0, "SCMP_CMP_EQ"));
    json_array_append_new(rules, allow_where("socket", AF_VSOCK, 0, "SCMP_CMP_GT"));
}

static void add_personalities(json_t *rules)
{
    static const json_int_t values[] = {
        PER_LINUX, PER_LINUX32, UNAME26, PER_LINUX32 | UNAME26, QUERY_PERSONALITY};

    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        json_array_append_new(rules, allow_where("personality", values[i], 0, "SCMP_CMP_EQ"));
}

/* clone3 keeps its flags in memory, where a filter cannot look: ENOSYS makes C libraries use clone. */
static void add_clone(json_t *rules)
{
    json_array_append_new(rules, allow_where("clone", CLONE_NAMESPACES, 0, "SCMP_CMP_MASKED_EQ"));
    json_array_append_new(rules,
        json_pack("{s:[s], s:s, s:i}", "names", "clone3", "action", "SCMP_ACT_ERRNO", "errnoRet", ENOSYS));
}

json_t *seccomp_default(char *const *capabilities)
{
    json_t *rules = json_array();

    json_array_append_new(rules, allow(allowed));
    add_sockets(rules);
    add_personalities(rules);
    if (!strv_contains(capabilities, "CAP_SYS_ADMIN"))
        add_clone(rules);
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
        if (strv_contains(capabilities, groups[i].capability))
            json_array_append_new(rules, allow(groups[i].names));
    return json_pack("{s:s, s:i, s:[s, s], s:o}", "defaultAction", "SCMP_ACT_ERRNO", "defaultErrnoRet", EPERM,
        "architectures", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "syscalls", rules);
}
