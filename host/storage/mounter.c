/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/mounter.h"

#include "base/fd.h"
#include "base/process.h"
#include "base/strv.h"
#include "storage/mounter_child.h"
#include "storage/share.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Above the descriptors that the helper is given at fixed numbers. */
#define ABOVE_CHILD_FDS 10

struct mounter {
    struct mounter_task task;
    int server; /* pidfd */
    int socket, child_socket;
    pid_t pid;
    struct process_watch *watch;
    mounter_done *done;
    void *context;
};

typedef int helper_work(const struct mounter_task *task);

char *mounter_place(size_t index)
{
    return must_printf("/sys/%zu", index);
}

/* ---- in the helper ---- */

static int keep_descriptors(const struct mounter *mounter)
{
    int server = fcntl(mounter->server, F_DUPFD_CLOEXEC, ABOVE_CHILD_FDS);
    int socket = fcntl(mounter->child_socket, F_DUPFD_CLOEXEC, ABOVE_CHILD_FDS);
    if (server < 0 || socket < 0 || dup2(server, MOUNTER_FD_SERVER) < 0 ||
        dup2(socket, MOUNTER_FD_SOCKET) < 0)
        return errno;
    return syscall(SYS_close_range, MOUNTER_FD_SOCKET + 1u, ~0u, 0u) < 0 ? errno : 0;
}

/* Its exit status is an errno. */
static void __attribute__((noreturn))
run_helper(const struct mounter *mounter, helper_work *work, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int failure = getppid() == parent ? keep_descriptors(mounter) : ESRCH;
    umask(0);
    if (!failure)
        failure = work(&mounter->task);
    _exit(failure);
}

/* ---- in this process ---- */

/* The helper is a clone that runs no other program, so no handler of ours may run in it. */
static struct error *start_helper(struct mounter *mounter, helper_work *work)
{
    pid_t parent = getpid();
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = (pid_t)syscall(SYS_clone, (long)CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        run_helper(mounter, work, parent);
    int failure = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return error_errno(failure, "starting a helper that mounts");
    mounter->pid = pid;
    return NULL;
}

static void on_helper_exited(void *context, int status)
{
    struct mounter *mounter = context;
    struct error *error = NULL;
    int host_root = -1;
    mounter->pid = 0;
    if (WIFSIGNALED(status))
        error = error_new(ERROR_INTERNAL, "the helper that mounts was ended by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        error = error_errno(WEXITSTATUS(status), "%s", mounter->task.report->doing);
    else
        error_free(fd_receive(mounter->socket, &host_root));
    mounter->done(mounter->context, error, host_root);
}

static void prepare_task(struct mounter_task *task, const struct mounter_tree *trees, size_t count)
{
    char **places = NULL, **targets = NULL;
    size_t place_count = 0;
    for (size_t i = 0; i < count; i++) {
        strv_append_printf(&targets, SHARE_TREE "%s", trees[i].target);
        for (; place_count < trees[i].call_count; place_count++)
            strv_take(&places, mounter_place(place_count));
    }
    task->trees = trees;
    task->count = count;
    task->places = places;
    task->targets = targets;
    task->held = must_alloc_array(count + 1, sizeof(*task->held));
}

static struct error *begin(struct mounter *mounter, struct event_base *base, pid_t server, helper_work *work)
{
    struct mounter_report *report =
        mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED)
        return error_errno(errno, "starting a helper that mounts");
    mounter->task.report = report;
    mounter->server = (int)syscall(SYS_pidfd_open, server, 0);
    if (mounter->server < 0)
        return error_errno(errno, "finding the file server");
    TRY(unix_pair(&mounter->socket, &mounter->child_socket));
    TRY(start_helper(mounter, work));
    close_fd(TAKE_FD(mounter->child_socket));
    return process_watch_new(base, mounter->pid, on_helper_exited, mounter, &mounter->watch);
}

static struct error *mounter_new(struct event_base *base, pid_t server, const struct mounter_tree *trees,
    size_t count, helper_work *work, mounter_done *done, void *context, struct mounter **ret_mounter)
{
    struct mounter *mounter = must_new(struct mounter);
    *mounter =
        (struct mounter){.server = -1, .socket = -1, .child_socket = -1, .done = done, .context = context};
    prepare_task(&mounter->task, trees, count);
    struct error *error = begin(mounter, base, server, work);
    if (error)
        mounter_free(mounter);
    else
        *ret_mounter = mounter;
    return error;
}

struct error *mounter_add(struct event_base *base, pid_t server, const struct mounter_tree *trees,
    size_t count, mounter_done *done, void *context, struct mounter **ret_mounter)
{
    return mounter_new(base, server, trees, count, mounter_child_add, done, context, ret_mounter);
}

struct error *mounter_remove(struct event_base *base, pid_t server, const struct mounter_tree *trees,
    size_t count, mounter_done *done, void *context, struct mounter **ret_mounter)
{
    return mounter_new(base, server, trees, count, mounter_child_remove, done, context, ret_mounter);
}

void mounter_free(struct mounter *mounter)
{
    if (!mounter)
        return;
    process_watch_free(mounter->watch);
    if (mounter->pid > 0) {
        kill(mounter->pid, SIGKILL);
        while (waitpid(mounter->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    close_fd(mounter->server);
    close_fd(mounter->socket);
    close_fd(mounter->child_socket);
    if (mounter->task.report)
        munmap(mounter->task.report, sizeof(*mounter->task.report));
    strv_free(mounter->task.places);
    strv_free(mounter->task.targets);
    free(mounter->task.held);
    free(mounter);
}
