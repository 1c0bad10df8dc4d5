/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/stand_in.h"

#include "base/fd.h"
#include "base/process.h"
#include "sandbox/stand_in_child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct stand_in {
    struct event_base *base;
    struct stand_in_events events;
    void *context;
    pid_t pid;
    bool reaped;
    int socket;
    struct event *readable;
    struct process_watch *watch;
};

/* ---- what it says ---- */

static struct error *error_of(const struct stand_in_message *message)
{
    return message->value ? error_errno(message->value, "%.*s", (int)sizeof(message->doing), message->doing)
                          : NULL;
}

static void tell_failure(struct stand_in *stand_in, const struct stand_in_message *message)
{
    _cleanup_error_ struct error *error = error_of(message);
    if (error)
        stand_in->events.failed(stand_in->context, error);
}

/* One message a turn, because whoever is told may free the stand-in. */
static void on_message(evutil_socket_t fd, short what, void *context)
{
    struct stand_in *stand_in = context;
    struct stand_in_message message;
    ssize_t length = recv(fd, &message, sizeof(message), MSG_DONTWAIT);
    if (length == 0)
        event_del(stand_in->readable);
    if (length != sizeof(message))
        return;
    if (message.event == STAND_IN_READY)
        stand_in->events.ready(stand_in->context, error_of(&message));
    else if (message.event == STAND_IN_SIGNALLED)
        stand_in->events.signalled(stand_in->context, message.value);
    else
        tell_failure(stand_in, &message);
}

static void on_exited(void *context, int status)
{
    struct stand_in *stand_in = context;
    stand_in->reaped = true;
    stand_in->events.ended(stand_in->context);
}

/* ---- its life ---- */

/* The supervisor has one thread, so its copy may do whatever the supervisor may. */
static pid_t fork_child(const struct stand_in_config *config, int socket, int network)
{
    struct stand_in_child child = {
        .config = config, .parent = getpid(), .socket = socket, .network = network};
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        stand_in_run(&child);
    int saved = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

static struct error *spawn(struct stand_in *stand_in, const struct stand_in_config *config)
{
    _cleanup_fd_ int theirs = -1, network = -1;
    int pair[2];
    if (config->network && *config->network) {
        network = open(config->network, O_RDONLY | O_CLOEXEC);
        if (network < 0)
            return error_errno(errno, "the network namespace %s", config->network);
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_errno(errno, "making a socket");
    stand_in->socket = pair[0];
    theirs = pair[1];
    stand_in->pid = fork_child(config, theirs, network);
    return stand_in->pid < 0 ? error_errno(errno, "forking") : NULL;
}

static struct error *watch(struct stand_in *stand_in)
{
    stand_in->readable =
        event_new(stand_in->base, stand_in->socket, EV_READ | EV_PERSIST, on_message, stand_in);
    if (!stand_in->readable || event_add(stand_in->readable, NULL) < 0)
        return error_new(ERROR_INTERNAL, "the event loop refused a socket");
    return process_watch_new(stand_in->base, stand_in->pid, on_exited, stand_in, &stand_in->watch);
}

struct error *stand_in_new(struct event_base *base, const struct stand_in_config *config,
    const struct stand_in_events *events, void *context, struct stand_in **ret_stand_in)
{
    _cleanup_(stand_in_free) struct stand_in *stand_in = must_new(struct stand_in);
    *stand_in =
        (struct stand_in){.base = base, .events = *events, .context = context, .pid = -1, .socket = -1};
    TRY(spawn(stand_in, config));
    TRY(watch(stand_in));
    *ret_stand_in = TAKE_PTR(stand_in);
    return NULL;
}

pid_t stand_in_pid(const struct stand_in *stand_in)
{
    return stand_in->pid;
}

struct error *stand_in_set_root(struct stand_in *stand_in, int tree)
{
    if (tree >= 0)
        return fd_send(stand_in->socket, tree);
    char none = 0;
    if (send(stand_in->socket, &none, sizeof(none), MSG_NOSIGNAL) < 0)
        return error_errno(errno, "telling the stand-in that it has no root file system");
    return NULL;
}

void stand_in_free(struct stand_in *stand_in)
{
    if (!stand_in)
        return;
    process_watch_free(stand_in->watch);
    if (stand_in->pid > 0 && !stand_in->reaped) {
        kill(stand_in->pid, SIGKILL);
        while (waitpid(stand_in->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    if (stand_in->readable)
        event_free(stand_in->readable);
    close_fd(stand_in->socket);
    free(stand_in);
}
