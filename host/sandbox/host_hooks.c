/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/host_hooks.h"

#include "base/fd.h"
#include "base/process.h"
#include "base/strv.h"
#include "base/tail.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* Of what a hook writes, kept for the error. */
#define OUTPUT_KEPT 1024

struct host_hooks {
    struct event_base *base;
    struct host_hooks_config config;
    host_hooks_warn *warn;
    host_hooks_done *done;
    void *context;
    struct event *soon; /* the next turn */
    struct error *failure;
    size_t index;
    /* of the one that runs */
    pid_t pid; /* 0: none */
    struct process_watch *watch;
    struct event *late;
    bool timed_out;
    int output; /* what it writes; -1 when it has closed it */
    struct event *readable;
    char tail[OUTPUT_KEPT + 1];
    size_t tail_length;
};

static const Grpc__Hook *current(const struct host_hooks *hooks)
{
    return hooks->config.hooks[hooks->index];
}

/* ---- its output ---- */

static void close_output(struct host_hooks *hooks)
{
    if (hooks->readable)
        event_free(TAKE_PTR(hooks->readable));
    close_fd(TAKE_FD(hooks->output));
}

/* Whether there may be more. */
static bool read_output(struct host_hooks *hooks)
{
    char bytes[4096];
    ssize_t length = read(hooks->output, bytes, sizeof(bytes));
    if (length > 0)
        tail_add(hooks->tail, OUTPUT_KEPT, &hooks->tail_length, bytes, (size_t)length);
    return length > 0 || (length < 0 && errno == EINTR);
}

static void on_output(evutil_socket_t fd, short what, void *context)
{
    struct host_hooks *hooks = context;
    if (!read_output(hooks) && errno != EAGAIN)
        close_output(hooks);
}

/* One line, without the white space around it. */
static const char *said(struct host_hooks *hooks)
{
    char *text = hooks->tail + strspn(hooks->tail, " \t\r\n");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]))
        text[--length] = '\0';
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < ' ')
            *at = ' ';
    return *text ? text : "it wrote nothing";
}

/* ---- its end ---- */

static struct error *failure_of(struct host_hooks *hooks, int status)
{
    const Grpc__Hook *hook = current(hooks);
    if (hooks->timed_out)
        return error_new(ERROR_DEADLINE_EXCEEDED, "%s hook %s did not end within %lld s: %s",
            hooks->config.kind, hook->path, (long long)hook->timeout, said(hooks));
    if (WIFSIGNALED(status))
        return error_new(ERROR_ABORTED, "%s hook %s was killed by signal %d: %s", hooks->config.kind,
            hook->path, WTERMSIG(status), said(hooks));
    if (status != 0)
        return error_new(ERROR_ABORTED, "%s hook %s exited with %d: %s", hooks->config.kind, hook->path,
            WEXITSTATUS(status), said(hooks));
    return NULL;
}

/* Of the one that ran; what it left running keeps its ends of pipes that nobody reads any more. */
static void clear_run(struct host_hooks *hooks)
{
    evtimer_del(hooks->late);
    process_watch_free(TAKE_PTR(hooks->watch));
    close_output(hooks);
    hooks->pid = 0;
}

/* Goes on from the loop. */
static void hook_ended(struct host_hooks *hooks, struct error *error)
{
    clear_run(hooks);
    if (error && hooks->warn) {
        hooks->warn(hooks->context, error);
        error_free(error);
        error = NULL;
    }
    hooks->failure = error;
    hooks->index++;
    event_active(hooks->soon, EV_TIMEOUT, 0);
}

/* What is still in the pipe was written before; a child that it left behind may hold the pipe open for ever.
 */
static void on_exited(void *context, int status)
{
    struct host_hooks *hooks = context;
    while (hooks->output >= 0 && read_output(hooks))
        continue;
    hook_ended(hooks, failure_of(hooks, status));
}

static void kill_group(pid_t pid)
{
    if (pid > 0)
        kill(-pid, SIGKILL);
}

static void on_late(evutil_socket_t fd, short what, void *context)
{
    struct host_hooks *hooks = context;
    hooks->timed_out = true;
    kill_group(hooks->pid);
}

/* ---- its start ---- */

static char **vector_of(const char *const *texts, size_t count)
{
    char **vector = must_alloc_array(count + 1, sizeof(*vector));
    for (size_t i = 0; i < count; i++)
        vector[i] = (char *)(uintptr_t)texts[i];
    return vector;
}

static struct error *spawn(struct host_hooks *hooks, int state, int output)
{
    const Grpc__Hook *hook = current(hooks);
    const char *const own_name[] = {hook->path};
    _cleanup_free_ char **arguments =
        hook->n_args ? vector_of((const char *const *)hook->args, hook->n_args) : vector_of(own_name, 1);
    _cleanup_free_ char **environment = vector_of((const char *const *)hook->env, hook->n_env);
    const struct process_fd fds[] = {{state, 0}, {output, 1}, {output, 2}};
    struct process_options options = {.arguments = arguments,
        .program = hook->path,
        .environment = environment,
        .directory = hooks->config.directory,
        .fds = fds,
        .fd_count = ARRAY_SIZE(fds),
        .new_session = true,
        .prepare = hooks->config.cgroup ? cgroup_return_child : NULL,
        .prepare_context = hooks->config.cgroup};
    return process_spawn(&options, &hooks->pid);
}

static struct error *watch(struct host_hooks *hooks)
{
    struct timeval patience = {.tv_sec = current(hooks)->timeout};
    TRY(fd_set_nonblocking(hooks->output, true));
    hooks->readable = event_new(hooks->base, hooks->output, EV_READ | EV_PERSIST, on_output, hooks);
    if (!hooks->readable || event_add(hooks->readable, NULL) < 0)
        return error_new(ERROR_INTERNAL, "the event loop refused a pipe");
    if (patience.tv_sec > 0)
        evtimer_add(hooks->late, &patience);
    return process_watch_new(hooks->base, hooks->pid, on_exited, hooks, &hooks->watch);
}

static void kill_and_reap(struct host_hooks *hooks)
{
    if (hooks->pid <= 0)
        return;
    kill_group(hooks->pid);
    while (waitpid(hooks->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static struct error *start(struct host_hooks *hooks)
{
    _cleanup_fd_ int state = -1, written = -1;
    int ends[2];
    /* A file rather than a pipe: a hook that does not read it blocks nobody, whatever its length. */
    TRY(error_wrap(fd_of_text(hooks->config.state, &state), "the container's state"));
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(errno, "making a pipe");
    hooks->output = ends[0];
    written = ends[1];
    hooks->timed_out = false;
    hooks->tail_length = 0;
    hooks->tail[0] = '\0';
    TRY(spawn(hooks, state, written));
    struct error *error = watch(hooks);
    if (error)
        kill_and_reap(hooks);
    return error;
}

static void next(evutil_socket_t fd, short what, void *context)
{
    struct host_hooks *hooks = context;
    if (hooks->failure || hooks->index == hooks->config.count) {
        hooks->done(hooks->context, TAKE_PTR(hooks->failure));
        return;
    }
    struct error *error = start(hooks);
    if (error)
        hook_ended(hooks, error_wrap(error, "%s hook %s", hooks->config.kind, current(hooks)->path));
}

/* ---- all of them ---- */

struct host_hooks *host_hooks_run(struct event_base *base, const struct host_hooks_config *config,
    host_hooks_warn *warn, host_hooks_done *done, void *context)
{
    struct host_hooks *hooks = must_new(struct host_hooks);
    hooks->base = base;
    hooks->config = *config;
    hooks->config.cgroup = cgroup_hold(config->cgroup);
    hooks->warn = warn;
    hooks->done = done;
    hooks->context = context;
    hooks->output = -1;
    hooks->soon = evtimer_new(base, next, hooks);
    hooks->late = evtimer_new(base, on_late, hooks);
    if (!hooks->soon || !hooks->late)
        abort(); /* libevent's only reason is a lack of memory */
    event_active(hooks->soon, EV_TIMEOUT, 0);
    return hooks;
}

void host_hooks_free(struct host_hooks *hooks)
{
    if (!hooks)
        return;
    kill_and_reap(hooks);
    clear_run(hooks);
    event_free(hooks->soon);
    event_free(hooks->late);
    cgroup_free(hooks->config.cgroup);
    error_free(hooks->failure);
    free(hooks);
}

struct blocking {
    struct event_base *base;
    host_hooks_warn *warn;
    void *context;
};

static void pass_on(void *context, const struct error *error)
{
    const struct blocking *blocking = context;
    blocking->warn(blocking->context, error);
}

static void leave_loop(void *context, struct error *error)
{
    const struct blocking *blocking = context;
    event_base_loopexit(blocking->base, NULL);
    error_free(error);
}

void host_hooks_run_and_wait(const struct host_hooks_config *config, host_hooks_warn *warn, void *context)
{
    struct blocking blocking = {.base = event_base_new(), .warn = warn, .context = context};
    if (!blocking.base)
        abort(); /* libevent's only reason is a lack of memory */
    struct host_hooks *hooks = host_hooks_run(blocking.base, config, pass_on, leave_loop, &blocking);
    event_base_dispatch(blocking.base);
    host_hooks_free(hooks);
    event_base_free(blocking.base);
}
