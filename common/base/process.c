/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a child is started: a pipe that closes on exec carries back the errno of whatever failed between fork
 * and exec, so that process_spawn can say it. Descriptors are first moved above every number they shall get
 * and then put in place, so no order of the list can overwrite one that is still needed.
 */
#include "base/process.h"

#include "base/fd.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int highest_child_fd(const struct process_options *options)
{
    int highest = 2;
    for (size_t i = 0; i < options->fd_count; i++) {
        if (options->fds[i].child_fd > highest)
            highest = options->fds[i].child_fd;
    }
    return highest;
}

/* In the child. 0 or an errno; *report is moved out of the way as well. */
static int place_fds(const struct process_options *options, int *report)
{
    int above = highest_child_fd(options) + 1;
    int moved[64];
    if (options->fd_count > ARRAY_SIZE(moved))
        return E2BIG;
    for (size_t i = 0; i < options->fd_count; i++) {
        moved[i] = fcntl(options->fds[i].fd, F_DUPFD_CLOEXEC, above);
        if (moved[i] < 0)
            return errno;
    }
    *report = fcntl(*report, F_DUPFD_CLOEXEC, above);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (*report < 0 || null < 0)
        return errno;
    for (int fd = 0; fd <= 2; fd++) {
        if (dup2(null, fd) < 0)
            return errno;
    }
    if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return errno;
    for (size_t i = 0; i < options->fd_count; i++) {
        if (dup2(moved[i], options->fds[i].child_fd) < 0)
            return errno;
    }
    return 0;
}

static void reset_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child; returns an errno when the program could not be started. */
static int become(const struct process_options *options, pid_t parent, int *report)
{
    reset_signals();
    if (options->new_session)
        setsid();
    if (options->die_with_parent) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* Across a pid namespace getppid() is 0. */
        if (getppid() != parent && !(options->namespaces & CLONE_NEWPID))
            return ESRCH;
    }
    int failure = place_fds(options, report);
    if (failure)
        return failure;
    if (options->prepare && (failure = options->prepare(options->prepare_context)))
        return failure;
    if (options->directory && chdir(options->directory) < 0)
        return errno;
    if (options->environment)
        environ = (char **)(uintptr_t)options->environment;
    execvp(options->program ? options->program : options->arguments[0], options->arguments);
    return errno;
}

struct error *process_spawn(const struct process_options *options, pid_t *ret_pid)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return error_errno(errno, "starting %s", options->arguments[0]);
    pid_t parent = getpid();
    /* Signals wait until the child has its defaults: a handler of ours must not run there. */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = options->namespaces
                    ? (pid_t)syscall(SYS_clone, (long)options->namespaces | SIGCHLD, 0, 0, 0, 0)
                    : fork();
    if (pid == 0) {
        int failure = become(options, parent, &report[1]);
        ssize_t ignored = write(report[1], &failure, sizeof(failure));
        (void)ignored;
        _exit(127);
    }
    int saved = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    int failure = pid < 0 ? saved : 0;
    if (pid > 0) {
        ssize_t received;
        do {
            received = read(report[0], &failure, sizeof(failure));
        } while (received < 0 && errno == EINTR);
        if (received != sizeof(failure))
            failure = 0;
        else
            waitpid(pid, NULL, 0);
    }
    close(report[0]);
    if (failure)
        return error_errno(failure, "starting %s", options->arguments[0]);
    *ret_pid = pid;
    return NULL;
}

struct process_watch {
    pid_t pid;
    int pidfd;
    struct event *event;
    process_exited *exited;
    void *context;
};

static void on_exit_ready(evutil_socket_t fd, short what, void *argument)
{
    struct process_watch *watch = argument;
    int status = 0;
    pid_t reaped = waitpid(watch->pid, &status, WNOHANG);
    if (reaped == 0)
        return;
    event_del(watch->event);
    watch->exited(watch->context, reaped == watch->pid ? status : 0);
}

struct error *process_watch_new(
    struct event_base *base, pid_t pid, process_exited *exited, void *context, struct process_watch **ret)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return error_errno(errno, "watching process %d", pid);
    struct process_watch *watch = must_new(struct process_watch);
    *watch = (struct process_watch){.pid = pid, .pidfd = pidfd, .exited = exited, .context = context};
    watch->event = event_new(base, pidfd, EV_READ | EV_PERSIST, on_exit_ready, watch);
    if (!watch->event || event_add(watch->event, NULL) < 0) {
        process_watch_free(watch);
        return error_new(ERROR_INTERNAL, "watching process %d: the event loop refused it", pid);
    }
    *ret = watch;
    return NULL;
}

pid_t process_watch_pid(const struct process_watch *watch)
{
    return watch->pid;
}

void process_watch_free(struct process_watch *watch)
{
    if (!watch)
        return;
    if (watch->event)
        event_free(watch->event);
    close_fd(watch->pidfd);
    free(watch);
}

int process_exit_code(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
