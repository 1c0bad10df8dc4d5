/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/launch.h"

#include "base/fd.h"
#include "base/strv.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define OUTPUT_MAX (1u << 20)
#define ERRORS_MAX 4096
/* A runtime whose container was ended by somebody else has to clean up after it. */
#define FAREWELL_MILLISECONDS 5000

enum { WATCH_END, WATCH_OUTPUT, WATCH_ERRORS, WATCH_SIGNALS, WATCH_COUNT };

struct text {
    char *data;
    size_t length, limit;
};

struct running {
    pid_t pid;
    struct pollfd watched[WATCH_COUNT]; /* fd -1: closed */
    struct text texts[WATCH_COUNT];     /* of the two outputs */
    int64_t begun;                      /* nanoseconds */
};

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

double milliseconds_now(void)
{
    return (double)now() / 1e6;
}

char *program_find(const char *name)
{
    _cleanup_strv_ char **directories = strv_split(getenv("PATH") ?: "/usr/sbin:/usr/bin:/sbin:/bin", ':');
    STRV_FOREACH (directory, directories) {
        char *path = must_printf("%s/%s", *directory, name);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

/* ---- signals ---- */

struct error *launcher_open(struct launcher *launcher)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    *launcher = (struct launcher){.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
    if (launcher->signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return error_errno(errno, "preparing to start programs");
    return NULL;
}

void launcher_close(struct launcher *launcher)
{
    close_fd(TAKE_FD(launcher->signals));
}

/* Every child that has ended but that one, which is at the end of the list: its status is still wanted. */
static void reap_adopted(pid_t wanted)
{
    siginfo_t info = {0};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0 &&
           info.si_pid != wanted) {
        waitpid(info.si_pid, NULL, 0);
        info.si_pid = 0;
    }
}

static bool read_signals(struct launcher *launcher, pid_t wanted)
{
    struct signalfd_siginfo info;
    while (read(launcher->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap_adopted(wanted);
        else
            launcher->interrupted = true;
    }
    return launcher->interrupted && !launcher->calm;
}

bool launcher_interrupted(struct launcher *launcher)
{
    return read_signals(launcher, 0);
}

void launcher_wait(struct launcher *launcher, int milliseconds)
{
    struct pollfd watched = {.fd = launcher->signals, .events = POLLIN};
    int64_t end = now() + (int64_t)milliseconds * 1000000;
    while (!launcher_interrupted(launcher) && now() < end)
        (void)poll(&watched, 1, (int)((end - now()) / 1000000) + 1);
}

/* ---- one process ---- */

static void text_add(struct text *text, const char *data, size_t length)
{
    if (length > text->limit - text->length)
        length = text->limit - text->length;
    text->data = must_resize(text->data, text->length + length + 1, 1);
    memcpy(text->data + text->length, data, length);
    text->length += length;
    text->data[text->length] = '\0';
}

/* False when nothing is to be had at the moment, or ever again. */
static bool collect(struct running *running, int which)
{
    char data[16384];
    ssize_t count = read(running->watched[which].fd, data, sizeof(data));
    if (count > 0) {
        text_add(&running->texts[which], data, (size_t)count);
        return true;
    }
    if (count == 0 || (errno != EAGAIN && errno != EINTR))
        close_fd(TAKE_FD(running->watched[which].fd));
    return false;
}

static struct error *open_pipes(struct running *running, struct process_fd fds[2])
{
    for (int i = 0; i < 2; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
            return error_errno(errno, "making a pipe");
        running->watched[WATCH_OUTPUT + i] = (struct pollfd){.fd = ends[0], .events = POLLIN};
        fds[i] = (struct process_fd){.fd = ends[1], .child_fd = 1 + i};
        TRY(fd_set_nonblocking(ends[0], true));
    }
    return NULL;
}

/* Where nobody is to read what it says, it says it to /dev/null: a pipe would be full some day. */
static struct error *spawn(
    struct launcher *launcher, char *const *arguments, bool is_read, struct running *running)
{
    struct process_fd fds[2] = {{.fd = -1}, {.fd = -1}};
    struct error *error = is_read ? open_pipes(running, fds) : NULL;
    const struct process_options options = {.arguments = arguments,
        .fds = fds,
        .fd_count = is_read ? ARRAY_SIZE(fds) : 0,
        .new_session = true,
        .die_with_parent = true,
        .prepare = launcher->prepare};
    running->begun = now();
    if (!error)
        error = process_spawn(&options, &running->pid);
    for (int i = 0; i < 2; i++)
        close_fd(fds[i].fd);
    TRY(error);
    int end = (int)syscall(SYS_pidfd_open, running->pid, 0);
    running->watched[WATCH_END] = (struct pollfd){.fd = end, .events = POLLIN};
    running->watched[WATCH_SIGNALS] = (struct pollfd){.fd = launcher->signals, .events = POLLIN};
    return NULL;
}

static void running_init(struct running *running)
{
    *running = (struct running){0};
    for (int i = 0; i < WATCH_COUNT; i++)
        running->watched[i].fd = -1;
    running->texts[WATCH_OUTPUT].limit = OUTPUT_MAX;
    running->texts[WATCH_ERRORS].limit = ERRORS_MAX;
    text_add(&running->texts[WATCH_OUTPUT], "", 0);
    text_add(&running->texts[WATCH_ERRORS], "", 0);
}

static void running_clear(struct running *running)
{
    for (int i = WATCH_END; i <= WATCH_ERRORS; i++)
        close_fd(TAKE_FD(running->watched[i].fd));
    free(running->texts[WATCH_OUTPUT].data);
    free(running->texts[WATCH_ERRORS].data);
}

#define _cleanup_running_ __attribute__((cleanup(running_clear)))

static int reap(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue; /* ECHILD: reaped among the adopted */
    return process_exit_code(status);
}

static void kill_group(pid_t pid)
{
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
}

/* One turn: false when the limit is over or somebody asked for the end. */
static struct error *attend(
    struct launcher *launcher, struct running *running, const char *what, int64_t limit)
{
    int64_t left = (running->begun + limit - now()) / 1000000;
    if (poll(running->watched, WATCH_COUNT, left > 0 ? (int)left : 0) < 0 && errno != EINTR)
        return error_errno(errno, "waiting for %s", what);
    for (int i = WATCH_OUTPUT; i <= WATCH_ERRORS; i++)
        if (running->watched[i].revents)
            collect(running, i);
    if (running->watched[WATCH_SIGNALS].revents && read_signals(launcher, running->pid))
        return error_new(ERROR_CANCELLED, "interrupted");
    if (now() - running->begun > limit)
        return error_new(ERROR_DEADLINE_EXCEEDED, "%s did not come to an end within %lld s and was stopped",
            what, (long long)(limit / 1000000000));
    return NULL;
}

struct error *launch(
    struct launcher *launcher, char *const *arguments, int limit_milliseconds, struct launched *ret_launched)
{
    _cleanup_running_ struct running running;
    int64_t limit = (int64_t)limit_milliseconds * 1000000;
    running_init(&running);
    if (launcher_interrupted(launcher))
        return error_new(ERROR_CANCELLED, "interrupted");
    TRY(spawn(launcher, arguments, true, &running));
    struct error *error = NULL;
    while (!error && !running.watched[WATCH_END].revents)
        error = attend(launcher, &running, arguments[0], limit);
    double milliseconds = (double)(now() - running.begun) / 1e6;
    if (error)
        kill_group(running.pid);
    int code = reap(running.pid);
    TRY(error);
    for (int i = WATCH_OUTPUT; i <= WATCH_ERRORS; i++)
        while (running.watched[i].fd >= 0 && collect(&running, i))
            continue;
    *ret_launched = (struct launched){.milliseconds = milliseconds,
        .code = code,
        .output = TAKE_PTR(running.texts[WATCH_OUTPUT].data),
        .errors = TAKE_PTR(running.texts[WATCH_ERRORS].data)};
    return NULL;
}

void launched_clear(struct launched *launched)
{
    free(launched->output);
    free(launched->errors);
    *launched = (struct launched){0};
}

/* The last line that says something. */
static const char *last_line(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && strchr("\n\r ", text[length - 1]))
        text[--length] = '\0';
    char *newline = strrchr(text, '\n');
    return newline ? newline + 1 : text;
}

struct error *launch_checked(
    struct launcher *launcher, char *const *arguments, int limit_milliseconds, struct launched *ret_launched)
{
    struct launched launched = {0};
    TRY(launch(launcher, arguments, limit_milliseconds, &launched));
    if (launched.code != 0) {
        struct error *error = error_new(
            ERROR_UNKNOWN, "%s: %s (exit code %d)", arguments[0], last_line(launched.errors), launched.code);
        launched_clear(&launched);
        return error;
    }
    *ret_launched = launched;
    return NULL;
}

void launch_calmly(struct launcher *launcher, char *const *arguments, int limit_milliseconds)
{
    struct launched launched = {0};
    bool was_calm = launcher->calm;
    launcher->calm = true;
    error_free(launch(launcher, arguments, limit_milliseconds, &launched));
    launcher->calm = was_calm;
    launched_clear(&launched);
}

/* ---- one that goes on ---- */

struct error *keep(struct launcher *launcher, char *const *arguments, const char *line,
    int limit_milliseconds, struct kept *ret_kept)
{
    _cleanup_running_ struct running running;
    int64_t limit = (int64_t)limit_milliseconds * 1000000;
    running_init(&running);
    TRY(spawn(launcher, arguments, line != NULL, &running));
    struct error *error = NULL;
    while (!error && line && !running.watched[WATCH_END].revents &&
           !strstr(running.texts[WATCH_OUTPUT].data, line))
        error = attend(launcher, &running, arguments[0], limit);
    if (!error && running.watched[WATCH_END].revents)
        error = error_new(
            ERROR_UNKNOWN, "%s ended at once: %s", arguments[0], last_line(running.texts[WATCH_ERRORS].data));
    if (error) {
        kill_group(running.pid);
        reap(running.pid);
        return error;
    }
    *ret_kept = (struct kept){.pid = running.pid,
        .handle = TAKE_FD(running.watched[WATCH_END].fd),
        .output = TAKE_FD(running.watched[WATCH_OUTPUT].fd),
        .errors = TAKE_FD(running.watched[WATCH_ERRORS].fd)};
    return NULL;
}

void kept_end(struct kept *kept, bool at_once)
{
    if (kept->pid == 0)
        return;
    struct pollfd ended = {.fd = kept->handle, .events = POLLIN};
    if (poll(&ended, 1, at_once ? 0 : FAREWELL_MILLISECONDS) == 0)
        syscall(SYS_pidfd_send_signal, kept->handle, SIGKILL, NULL, 0);
    reap(kept->pid);
    close_fd(kept->handle);
    close_fd(kept->output);
    close_fd(kept->errors);
    *kept = (struct kept){.handle = -1, .output = -1, .errors = -1};
}
