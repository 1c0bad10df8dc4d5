/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/reaper.h"

#include "base/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Ends the process when the command has ended, else returns. */
static void reap(pid_t command)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == command)
            _exit(process_exit_code(status));
}

static void supervise(pid_t command) __attribute__((noreturn));
static void supervise(pid_t command)
{
    /* The command's readers and writers must see the end when it ends them, not when its init does. */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++)
        if (null < 0 || dup2(null, fd) < 0)
            close(fd);
    close_range(3, ~0u, 0);
    sigset_t all;
    sigfillset(&all);
    for (;;) {
        reap(command);
        int signal = sigwaitinfo(&all, NULL);
        if (signal > 0 && signal != SIGCHLD)
            kill(command, signal);
    }
}

struct error *reaper_fork(void)
{
    /* Blocked rather than handled: none can be lost between here and the loop. */
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t pid = fork();
    if (pid < 0)
        return error_errno(errno, "forking from the container's init");
    if (pid > 0)
        supervise(pid);
    /* In front on its terminal, so that Ctrl-C reaches the command and not its init. */
    setpgid(0, 0);
    tcsetpgrp(STDIN_FILENO, getpid());
    return NULL;
}
