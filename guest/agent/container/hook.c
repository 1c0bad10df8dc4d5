/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/hook.h"

#include "agent/container/container.h"
#include "agent/container/process.h"
#include "base/fd.h"
#include "base/tail.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>

#define HOOK_STDERR_KEPT 512
#define EXIT_NO_PROGRAM 127

static void exec_hook(const Grpc__Hook *hook, int input, int errors) __attribute__((noreturn));
static void exec_hook(const Grpc__Hook *hook, int input, int errors)
{
    char **arguments =
        hook->n_args ? process_vector(hook->args, hook->n_args) : process_vector(&hook->path, 1);
    char **environment = process_vector(hook->env, hook->n_env);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (dup2(input, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 && dup2(errors, STDERR_FILENO) >= 0)
        execve(hook->path, arguments, environment);
    /* The guest has no programs. What createContainer hooks name is the container's, whose root is the
       working directory then; of the other kinds the root stays as it is. */
    if (errno == ENOENT && chroot(".") == 0)
        execve(hook->path, arguments, environment);
    dprintf(errors, "%s: %m", hook->path);
    _exit(EXIT_NO_PROGRAM);
}

/* The end of what came on standard error. */
struct tail {
    char text[HOOK_STDERR_KEPT + 1];
    size_t length;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool read_tail(int errors, struct tail *tail)
{
    char bytes[4096];
    ssize_t length = read(errors, bytes, sizeof(bytes));
    if (length > 0)
        tail_add(tail->text, HOOK_STDERR_KEPT, &tail->length, bytes, (size_t)length);
    return length > 0 || (length < 0 && errno == EINTR);
}

/* Collects standard error until the process has ended. */
static struct error *await(int process, int errors, int timeout_ms, struct tail *tail)
{
    int64_t deadline = now_ms() + timeout_ms;
    struct pollfd events[] = {{.fd = process, .events = POLLIN}, {.fd = errors, .events = POLLIN}};
    for (;;) {
        int64_t left = deadline - now_ms();
        int ready = poll(events, ARRAY_SIZE(events), left > 0 ? (int)left : 0);
        if (ready == 0)
            return error_new(ERROR_DEADLINE_EXCEEDED, "did not end within %d ms", timeout_ms);
        if (ready < 0 && errno != EINTR)
            return error_errno(errno, "waiting");
        if (ready > 0 && events[1].revents && !read_tail(errors, tail))
            events[1].fd = -1;
        /* Only when no more output waits, so that its last words are kept. */
        if (ready > 0 && events[0].revents && !events[1].revents)
            return NULL;
    }
}

static int timeout_of(const Grpc__Hook *hook)
{
    if (hook->timeout <= 0)
        return CONTAINER_HOOK_MS;
    return hook->timeout > INT_MAX / 4000 ? INT_MAX / 4 : (int)hook->timeout * 1000;
}

static struct error *await_and_reap(pid_t pid, int errors, int timeout_ms)
{
    struct tail tail = {0};
    _cleanup_fd_ int process = pidfd_open(pid, 0);
    struct error *error =
        process < 0 ? error_errno(errno, "watching") : await(process, errors, timeout_ms, &tail);
    if (error)
        kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (error || status == 0)
        return error;
    if (WIFSIGNALED(status))
        return error_new(ERROR_ABORTED, "was killed by signal %d: %s", WTERMSIG(status), tail.text);
    return error_new(ERROR_ABORTED, "exited with %d: %s", WEXITSTATUS(status), tail.text);
}

static struct error *run(const Grpc__Hook *hook, const struct oci_state *state)
{
    _cleanup_fd_ int input = -1;
    _cleanup_free_ char *text = oci_state_json(state);
    /* A file rather than a pipe: a hook that does not read cannot block us, whatever the length. */
    TRY(error_wrap(fd_of_text(text, &input), "the container's state"));
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(errno, "making a pipe");
    _cleanup_fd_ int errors = ends[0];
    pid_t pid = fork();
    if (pid == 0)
        exec_hook(hook, input, ends[1]);
    int saved = errno;
    close(ends[1]);
    if (pid < 0)
        return error_errno(saved, "forking");
    return await_and_reap(pid, errors, timeout_of(hook));
}

struct error *hook_run_all(
    const char *kind, Grpc__Hook *const *hooks, size_t count, const struct oci_state *state)
{
    for (size_t i = 0; i < count; i++)
        TRY(error_wrap(run(hooks[i], state), "%s hook %s", kind, hooks[i]->path));
    return NULL;
}

int hook_total_ms(Grpc__Hook *const *hooks, size_t count)
{
    int64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += timeout_of(hooks[i]);
    return total > INT_MAX / 2 ? INT_MAX / 2 : (int)total;
}
