/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/guard.h"

#include "compare/leftovers.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* In the child. */
static struct error *become_worker(pid_t guard, const sigset_t *mask)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigprocmask(SIG_SETMASK, mask, NULL);
    return getppid() == guard ? NULL : error_new(ERROR_CANCELLED, "interrupted");
}

/* Passes on what it is told, until the child has ended: its status as wait(2) gives it. Adopted orphans are
   reaped meanwhile. */
static int wait_for_worker(pid_t worker, const sigset_t *signals)
{
    for (;;) {
        int status, number = sigwaitinfo(signals, NULL);
        if (number > 0 && number != SIGCHLD)
            kill(worker, number);
        for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;)
            if (ended == worker)
                return status;
    }
}

/* The child's descendants are the guard's by now. */
static struct error *clear_up(const char *above, const char *containerd, int signal)
{
    struct launcher launcher = {.signals = -1};
    TRY(launcher_open(&launcher));
    descendants_end();
    leftovers_sweep(&launcher, above, containerd);
    launcher_close(&launcher);
    return error_new(ERROR_ABORTED,
        "what measures was killed by signal %d; nothing of it is left, and there is no report", signal);
}

struct error *guard_split(const char *above, const char *containerd, bool *ret_is_guard, int *ret_code)
{
    sigset_t signals, before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, &before);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return error_errno(errno, "preparing to start programs");
    pid_t guard = getpid(), worker = fork();
    *ret_is_guard = worker != 0;
    if (worker < 0)
        return error_errno(errno, "starting a process");
    if (worker == 0)
        return become_worker(guard, &before);
    int status = wait_for_worker(worker, &signals);
    if (WIFSIGNALED(status))
        return clear_up(above, containerd, WTERMSIG(status));
    *ret_code = WEXITSTATUS(status);
    return NULL;
}
