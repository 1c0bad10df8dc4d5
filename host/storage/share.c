/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiofsd listens and QEMU connects. Both ends are made here: a socket is bound in a private directory, one
 * connection is made to it, and its name is gone before the server starts, which then finds that connection
 * waiting. So nobody else can ever talk to the server.
 */
#include "storage/share.h"

#include "base/fd.h"
#include "base/process.h"
#include "base/strv.h"
#include "hv/console.h"
#include "jail/jail.h"

#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define SOCKET_FD 3
/* One descriptor for each file that the guest's kernel remembers. */
#define FILES_MAX 262144
/* The server ends when QEMU does, and QEMU's own end says more than the server's. */
#define GRACE_MILLISECONDS 300

struct share {
    pid_t pid;
    struct process_watch *watch;
    struct console *errors;
    struct event *grace;
    share_failed *failed;
    void *context;
    int status;
};

/* What serving files of any owner takes, and chroot and setpcap for the server's own confinement, after which
   it drops those two itself. */
static const uint64_t capabilities = UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE |
                                     UINT64_C(1) << CAP_FOWNER | UINT64_C(1) << CAP_FSETID |
                                     UINT64_C(1) << CAP_SETGID | UINT64_C(1) << CAP_SETUID |
                                     UINT64_C(1) << CAP_MKNOD | UINT64_C(1) << CAP_SETFCAP |
                                     UINT64_C(1) << CAP_SYS_CHROOT | UINT64_C(1) << CAP_SETPCAP;

char **share_arguments(const struct virtiofsd_program *program)
{
    static const char *const c[] = {"-f", "--fd=3", "--rlimit-nofile=0", "--thread-pool-size=0", "-o",
        "source=/shared,sandbox=chroot,cache=auto,xattr,announce_submounts,log_level=err"};
    static const char *const rust[] = {"--fd=3", "--rlimit-nofile=0", "--thread-pool-size=0",
        "--shared-dir=/shared", "--sandbox=chroot", "--cache=auto", "--xattr", "--announce-submounts",
        "--log-level=error"};
    const char *const *options = program->rust ? rust : c;
    size_t count = program->rust ? ARRAY_SIZE(rust) : ARRAY_SIZE(c);
    char **arguments = NULL;
    strv_append(&arguments, program->path);
    for (size_t i = 0; i < count; i++)
        strv_append(&arguments, options[i]);
    return arguments;
}

static struct error *waiting_connection(const char *directory, int *ret_listener, int *ret_socket)
{
    _cleanup_free_ char *path = must_printf("%s/share.sock", directory);
    _cleanup_fd_ int listener = -1, connection = -1;
    TRY(unix_listen(path, &listener));
    struct error *error = unix_connect(path, &connection);
    unlink(path);
    if (error)
        return error;
    TRY(fd_set_nonblocking(listener, false));
    *ret_listener = TAKE_FD(listener);
    *ret_socket = TAKE_FD(connection);
    return NULL;
}

static struct error *make_jail(const struct virtiofsd_program *program, const struct share_entry *entries,
    size_t count, struct jail **ret_jail)
{
    const char *why = NULL;
    if (!jail_complete(&why))
        return error_new(ERROR_FAILED_PRECONDITION, "volumes need root or user namespaces: %s", why);
    struct jail_bind *binds = must_alloc_array(count, sizeof(*binds));
    _cleanup_strv_ char **targets = NULL;
    for (size_t i = 0; i < count; i++) {
        strv_append_printf(&targets, SHARE_TREE "%s", entries[i].target);
        binds[i] = (struct jail_bind){entries[i].source, targets[i], !entries[i].read_only};
    }
    const struct jail_config config = {
        .name = "the file server",
        .program = program->path,
        .binds = binds,
        .bind_count = count,
        .empty = count == 0 ? SHARE_TREE : NULL,
        .proc = true,
        .serve_root = true,
        .capabilities = capabilities,
        .files = FILES_MAX,
    };
    struct error *error = jail_new(&config, ret_jail);
    free(binds);
    return error;
}

static void on_grace_over(evutil_socket_t fd, short what, void *argument)
{
    struct share *share = argument;
    console_flush(share->errors);
    _cleanup_free_ char *lines = console_last_lines(share->errors, 1);
    _cleanup_error_ struct error *reason =
        WIFSIGNALED(share->status)
            ? error_new(ERROR_ABORTED, "the file server was ended by signal %d", WTERMSIG(share->status))
            : error_new(ERROR_ABORTED, "the file server ended (exit code %d)%s%s", WEXITSTATUS(share->status),
                  *lines ? ": " : "", lines);
    share->failed(share->context, reason);
}

static void on_exited(void *context, int status)
{
    struct share *share = context;
    share->pid = 0;
    share->status = status;
    const struct timeval grace = {0, GRACE_MILLISECONDS * 1000};
    event_add(share->grace, &grace);
}

static struct error *spawn(struct share *share, struct event_base *base, struct jail *jail,
    const struct virtiofsd_program *program, int listener)
{
    _cleanup_fd_ int errors = -1, errors_end = -1;
    TRY(unix_pair(&errors, &errors_end));
    _cleanup_strv_ char **arguments = share_arguments(program);
    char *const environment[] = {
        (char[]){"PATH=/usr/bin:/bin"}, (char[]){"LC_ALL=C"}, (char[]){"MALLOC_ARENA_MAX=1"}, NULL};
    const struct process_fd fds[] = {{listener, SOCKET_FD}, {errors_end, STDERR_FILENO}};
    const struct process_options options = {
        .arguments = arguments,
        .environment = environment,
        .directory = "/",
        .fds = fds,
        .fd_count = ARRAY_SIZE(fds),
        .new_session = true,
        .die_with_parent = true,
    };
    TRY(jail_spawn(jail, &options, &share->pid));
    TRY(console_new(base, TAKE_FD(errors), NULL, NULL, &share->errors));
    return process_watch_new(base, share->pid, on_exited, share, &share->watch);
}

static struct error *begin(struct share *share, struct event_base *base, const char *directory,
    const struct share_entry *entries, size_t count, int *ret_socket)
{
    struct virtiofsd_program program = {0};
    TRY(find_virtiofsd(&program));
    _cleanup_(jail_free) struct jail *jail = NULL;
    _cleanup_fd_ int listener = -1, connection = -1;
    struct error *error = make_jail(&program, entries, count, &jail);
    if (!error)
        error = waiting_connection(directory, &listener, &connection);
    if (!error)
        error = spawn(share, base, jail, &program, listener);
    virtiofsd_program_clear(&program);
    if (!error)
        *ret_socket = TAKE_FD(connection);
    return error;
}

struct error *share_new(struct event_base *base, const char *directory, const struct share_entry *entries,
    size_t count, share_failed *failed, void *context, struct share **ret_share, int *ret_socket)
{
    struct share *share = must_new(struct share);
    share->failed = failed;
    share->context = context;
    share->grace = event_new(base, -1, 0, on_grace_over, share);
    struct error *error = share->grace ? begin(share, base, directory, entries, count, ret_socket)
                                       : error_new(ERROR_INTERNAL, "the event loop refused a timer");
    if (error) {
        share_free(share);
        return error;
    }
    *ret_share = share;
    return NULL;
}

pid_t share_process(const struct share *share)
{
    return share ? share->pid : 0;
}

void share_free(struct share *share)
{
    if (!share)
        return;
    process_watch_free(share->watch);
    if (share->pid > 0) {
        kill(share->pid, SIGKILL);
        while (waitpid(share->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    console_free(share->errors);
    if (share->grace)
        event_free(share->grace);
    free(share);
}
