/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone3 makes all namespaces at once, except the cgroup namespace: the kernel would root it in the cgroup of
 * the parent, so the child makes that one itself. A pid namespace that exists is entered through the agent's
 * own "pid namespace for children", which is set for the one call: it saves the second fork that a child
 * would need.
 */
#include "agent/container/spawn.h"

#include "agent/container/channel.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Above all numbers that descriptors are moved to. */
#define HIGH_FD 16
enum { CHANNEL_FD = 3, COMPANION_FD = 4 };

static struct error *clone_child(const struct spawn_options *options, int *pidfd, pid_t *ret_pid)
{
    struct clone_args arguments = {
        .flags = (options->namespaces & ~(uint64_t)CLONE_NEWCGROUP) | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    if (options->cgroup >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)options->cgroup;
    }
    long pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid < 0)
        return error_errno(errno, "making the process");
    *ret_pid = (pid_t)pid;
    return NULL;
}

/* Returns in the child too, with *ret_pid 0. */
static struct error *clone_into_pid_namespace(const struct spawn_options *options, int *pidfd, pid_t *ret_pid)
{
    if (options->pid_namespace < 0)
        return clone_child(options, pidfd, ret_pid);
    _cleanup_fd_ int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (own < 0)
        return error_errno(errno, "opening the guest's pid namespace");
    if (setns(options->pid_namespace, CLONE_NEWPID) < 0)
        return error_errno(errno, "joining the pid namespace");
    struct error *error = clone_child(options, pidfd, ret_pid);
    /* The kernel's way to say so. */
    if (error_number(error) == ENOMEM)
        error = error_recode(
            error_wrap(error, "the first process of the pid namespace has ended"), ERROR_FAILED_PRECONDITION);
    if ((error || *ret_pid > 0) && setns(own, CLONE_NEWPID) < 0 && !error)
        error = error_errno(errno, "returning to the guest's pid namespace");
    return error;
}

/* -1 is the null device. */
static int move_high(int fd)
{
    if (fd >= 0)
        return fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
    _cleanup_fd_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    return null < 0 ? -1 : fcntl(null, F_DUPFD_CLOEXEC, HIGH_FD);
}

/* Puts what the child keeps at its fixed numbers and closes the rest: a child that waits must not hold open
   the ends of other processes' pipes. */
static struct error *settle_descriptors(const struct spawn_options *options, int channel)
{
    const int wanted[] = {options->streams.input, options->streams.output, options->streams.errors, channel,
        options->companion};
    int high[ARRAY_SIZE(wanted)];
    size_t count = options->companion >= 0 ? ARRAY_SIZE(wanted) : ARRAY_SIZE(wanted) - 1;
    for (size_t i = 0; i < count; i++) {
        high[i] = move_high(wanted[i]);
        if (high[i] < 0)
            return error_errno(errno, "taking over descriptors");
    }
    for (size_t i = 0; i < count; i++)
        if (dup3(high[i], (int)i, i < CHANNEL_FD ? 0 : O_CLOEXEC) < 0)
            return error_errno(errno, "taking over descriptors");
    if (close_range((unsigned int)count, ~0u, 0) < 0)
        return error_errno(errno, "closing descriptors");
    return NULL;
}

static void run_child(const struct spawn_options *options, spawn_body *body, void *context, int channel)
    __attribute__((noreturn));
static void run_child(const struct spawn_options *options, spawn_body *body, void *context, int channel)
{
    /* A report to an agent that is gone is no reason to die; ended before the exec. */
    signal(SIGPIPE, SIG_IGN);
    /* Until the exec this is the agent's program, which the container's processes must not look into. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    struct error *error = settle_descriptors(options, channel);
    if (error) {
        channel_send_error(channel, error);
        _exit(1);
    }
    body(context, CHANNEL_FD, options->companion >= 0 ? COMPANION_FD : -1);
    _exit(1);
}

struct error *spawn(
    const struct spawn_options *options, spawn_body *body, void *context, struct spawned *ret_spawned)
{
    _cleanup_fd_ int agent_end = -1;
    _cleanup_fd_ int child_end = -1;
    TRY(channel_open(&agent_end, &child_end));
    pid_t pid = -1;
    int pidfd = -1;
    struct error *error = clone_into_pid_namespace(options, &pidfd, &pid);
    if (pid == 0)
        run_child(options, body, context, child_end);
    struct spawned spawned = {.pid = pid, .pidfd = pidfd, .channel = TAKE_FD(agent_end)};
    if (error) {
        spawned_abandon(&spawned);
        return error;
    }
    *ret_spawned = spawned;
    return NULL;
}

void spawned_abandon(struct spawned *spawned)
{
    close_fd(spawned->channel);
    close_fd(spawned->pidfd);
    if (spawned->pid > 0) {
        kill(spawned->pid, SIGKILL);
        while (waitpid(spawned->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    *spawned = (struct spawned){.pid = -1, .pidfd = -1, .channel = -1};
}
