/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `start`: a shim for the sandbox, or the one that it has. The listening socket exists before the address is
 * printed, so whoever reads the address can connect at once; the process that stays behind keeps none of the
 * descriptors it was started with, for containerd waits for them to close.
 */
#include "shim/handshake.h"
#include "shim/instance.h"
#include "shim/shim.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "cgroup/cgroup.h"
#include "hv/probe.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

/* How long a shim of the same sandbox may take to end. */
#define PREDECESSOR_MILLISECONDS 3000

struct launch {
    const struct shim_options *options;
    const struct places *places;
    const struct handshake *handshake;
    int lock;
    int listener;
};

/* ---- in the process that stays ---- */

/* containerd reads the fifo `log` of the working directory; without it a file of the bundle has to do. */
static int open_log(void)
{
    int fd = open("log", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 ? fd : open("shim.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2; fd++)
        dup2(null, fd);
    close_fd(null);
    setsid();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    /* The shim listens to these as long as it serves. After that it is ending, and has its socket to remove.
     */
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    prctl(PR_SET_NAME, "caisson-shim");
}

/* As containerd's own shim: a daemon that must not be ended for lack of memory starts shims that may be, if
   there is no better candidate. */
static struct error *become_killable(void)
{
    _cleanup_free_ char *text = NULL;
    int64_t score = 0;
    TRY(file_read(AT_FDCWD, "/proc/self/oom_score_adj", 64, &text, NULL));
    text[strcspn(text, "\n")] = '\0';
    TRY(parse_signed("oom_score_adj", text, -1000, 1000, &score));
    _cleanup_free_ char *more = must_printf("%lld", (long long)score + 1);
    return score < 1000 ? file_write_text(AT_FDCWD, "/proc/self/oom_score_adj", more) : NULL;
}

static bool is_own(const struct shim_options *options)
{
    return strcmp(options->namespace, SHIM_OWN_NAMESPACE) == 0;
}

/* containerd's event service. CRI-O has none, and says so with an empty variable. */
static const char *event_service(const struct launch *launch)
{
    if (is_own(launch->options))
        return NULL;
    return launch->handshake->ttrpc_address ? launch->handshake->ttrpc_address : getenv("TTRPC_ADDRESS");
}

static struct error *serve(const struct launch *launch, struct event_base *base)
{
    struct shim_config config = {.options = launch->options,
        .places = launch->places,
        .ttrpc_address = event_service(launch),
        .publish_binary = is_own(launch->options) ? launch->options->publish_binary : NULL,
        .choose = hv_choose,
        .apart = launch->handshake->shim_cgroup != NULL,
        .metrics = is_own(launch->options) ? METRICS_V2 : metrics_version_of("/sys/fs/cgroup")};
    struct shim *shim = NULL;
    TRY(shim_new(base, &config, launch->listener, &shim));
    event_base_dispatch(base);
    shim_free(shim);
    return NULL;
}

static int run(const struct launch *launch)
{
    leave_terminal();
    _cleanup_fd_ int log = open_log();
    bool debug = launch->options->debug || launch->handshake->debug;
    log_open(log, debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "shim");
    /* A working directory in the bundle would keep it from being unmounted. */
    _cleanup_error_ struct error *error =
        chdir("/") < 0 ? error_errno(errno, "leaving the bundle") : instance_own(launch->lock, getpid());
    struct event_base *base = event_base_new();
    _cleanup_error_ struct error *unkillable = is_own(launch->options) ? NULL : become_killable();
    if (unkillable)
        log_warning("%s", error_message(unkillable));
    if (!error)
        error = serve(launch, base);
    if (error)
        log_error("%s", error_message(error));
    event_base_free(base);
    error_free(instance_remove(launch->places));
    return error ? 1 : 0;
}

/* ---- in the process that was started ---- */

/* The file is what containerd up to 1.7 finds the shim by when it starts again. */
static struct error *tell_address(const struct launch *launch)
{
    _cleanup_free_ char *address = must_printf("unix://%s", launch->places->socket);
    size_t length = 0;
    _cleanup_free_ uint8_t *reply = handshake_reply(launch->handshake, address, &length);
    TRY(file_replace(AT_FDCWD, "address", address, strlen(address), 0600));
    return error_wrap(fd_write_all(STDOUT_FILENO, reply, length), "printing the address");
}

/* What a shim that died left is removed; the lock says that it is dead. */
static struct error *make_sandbox(const struct places *places, int *ret_lock, int *ret_listener)
{
    _cleanup_fd_ int lock = -1;
    TRY(instance_lock(places, &lock));
    if (unlink(places->socket) < 0 && errno != ENOENT)
        return error_errno(errno, "removing %s", places->socket);
    TRY(unix_listen(places->socket, ret_listener));
    *ret_lock = TAKE_FD(lock);
    return NULL;
}

/* Returns in both processes; ret_pid is 0 in the one that stays. */
static struct error *fork_away(const struct places *places, int listener, pid_t *ret_pid)
{
    pid_t pid = fork();
    if (pid < 0) {
        int saved = errno;
        unlink(places->socket);
        return error_errno(saved, "starting the shim's process");
    }
    if (pid > 0)
        close_fd(listener);
    *ret_pid = pid;
    return NULL;
}

static struct error *launch_shim(struct launch *launch, int turn)
{
    pid_t pid = 0;
    if (launch->handshake->shim_cgroup)
        TRY(error_wrap(cgroup_join(launch->handshake->shim_cgroup), "the option ShimCgroup"));
    TRY(make_sandbox(launch->places, &launch->lock, &launch->listener));
    TRY(fork_away(launch->places, launch->listener, &pid));
    if (pid == 0) {
        close_fd(turn);
        _exit(run(launch));
    }
    close_fd(launch->lock);
    return tell_address(launch);
}

/* One start at a time, so that whoever finds a sandbox's lock taken finds its socket as well. */
static struct error *take_turn(const struct places *places, int *ret_turn)
{
    _cleanup_free_ char *parent = must_copy(places->sandbox);
    *strrchr(parent, '/') = '\0';
    TRY(directory_create_all(parent, 0700));
    _cleanup_fd_ int turn = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (turn < 0 || flock(turn, LOCK_EX) < 0)
        return error_errno(errno, "%s", parent);
    *ret_turn = TAKE_FD(turn);
    return NULL;
}

/* ALREADY_EXISTS: the sandbox has a shim that does not answer. */
static struct error *start_or_join(struct launch *launch)
{
    _cleanup_fd_ int turn = -1;
    TRY(take_turn(launch->places, &turn));
    struct error *error = launch_shim(launch, turn);
    if (error_code(error) != ERROR_ALREADY_EXISTS || !instance_answers(launch->places))
        return error;
    error_free(error);
    return tell_address(launch);
}

static struct error *start_in(const struct shim_options *options, const struct places *places)
{
    _cleanup_handshake_ struct handshake handshake = handshake_read(STDIN_FILENO, options);
    struct launch launch = {
        .options = options, .places = places, .handshake = &handshake, .lock = -1, .listener = -1};
    struct error *error = start_or_join(&launch);
    if (error_code(error) != ERROR_ALREADY_EXISTS)
        return error;
    /* It is just ending: containerd may be told of the end before the process is gone. */
    error_free(error);
    TRY(instance_await_end(places, PREDECESSOR_MILLISECONDS));
    return start_or_join(&launch);
}

struct error *shim_start(const struct shim_options *options)
{
    _cleanup_free_ char *sandbox_id = places_sandbox_of(".", options->id);
    _cleanup_places_ struct places *places = NULL;
    close_range(3, ~0u, 0);
    TRY(places_find(options->address, options->namespace, sandbox_id, &places));
    return start_in(options, places);
}
