/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/instance.h"

#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define KILL_MILLISECONDS 2000
/* What a shim that has stopped listening may still need to end. */
#define END_MILLISECONDS 1000
/* How often another shim may remove the directory while it is being entered. */
#define LOCK_ATTEMPTS 16

/* Whether the descriptor is of the file that the path names now. */
static bool is_same_file(int fd, const char *path)
{
    struct stat opened;
    struct stat named;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

/* *ret_fd stays -1 where the directory was removed in the meantime. */
static struct error *try_lock(const struct places *places, int *ret_fd)
{
    TRY(places_make(places));
    _cleanup_fd_ int fd = open(places->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == ENOENT)
        return NULL;
    if (fd < 0)
        return error_errno(errno, "%s", places->lock);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return error_new(ERROR_ALREADY_EXISTS, "a shim for this sandbox runs already");
    if (is_same_file(fd, places->lock))
        *ret_fd = TAKE_FD(fd);
    return NULL;
}

struct error *instance_lock(const struct places *places, int *ret_fd)
{
    int fd = -1;
    for (int i = 0; i < LOCK_ATTEMPTS && fd < 0; i++)
        TRY(try_lock(places, &fd));
    if (fd < 0)
        return error_new(ERROR_UNAVAILABLE, "%s is removed again and again", places->sandbox);
    *ret_fd = fd;
    return NULL;
}

struct error *instance_own(int lock, pid_t pid)
{
    _cleanup_free_ char *text = must_printf("%d\n", pid);
    if (ftruncate(lock, 0) < 0)
        return error_errno(errno, "emptying the lock");
    return fd_write_all(lock, text, strlen(text));
}

static struct error *read_holder(int lock, pid_t *ret_pid)
{
    _cleanup_free_ char *text = NULL;
    uint64_t pid = 0;
    TRY(fd_read_all(lock, 64, &text, NULL));
    text[strcspn(text, "\n")] = '\0';
    TRY(parse_unsigned("the pid in the shim's lock", text, 2, INT_MAX, &pid));
    *ret_pid = (pid_t)pid;
    return NULL;
}

/* A pidfd of the lock's holder; -1 where there is none. */
static struct error *open_holder(const struct places *places, int *ret_process, pid_t *ret_pid)
{
    _cleanup_fd_ int lock = open(places->lock, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (lock < 0 && errno == ENOENT)
        return NULL;
    if (lock < 0)
        return error_errno(errno, "%s", places->lock);
    if (flock(lock, LOCK_SH | LOCK_NB) == 0)
        return NULL;
    TRY(read_holder(lock, ret_pid));
    *ret_process = (int)syscall(SYS_pidfd_open, *ret_pid, 0);
    if (*ret_process < 0 && errno != ESRCH)
        return error_errno(errno, "looking at shim %d", *ret_pid);
    return NULL;
}

static struct error *await_process(int process, pid_t pid, int milliseconds)
{
    struct pollfd ended = {.fd = process, .events = POLLIN};
    if (process >= 0 && poll(&ended, 1, milliseconds) == 0)
        return error_new(ERROR_DEADLINE_EXCEEDED, "shim %d does not end", pid);
    return NULL;
}

struct error *instance_await_end(const struct places *places, int milliseconds)
{
    _cleanup_fd_ int process = -1;
    pid_t pid = 0;
    TRY(open_holder(places, &process, &pid));
    return await_process(process, pid, milliseconds);
}

struct error *instance_kill(const struct places *places)
{
    _cleanup_fd_ int process = -1;
    pid_t pid = 0;
    TRY(open_holder(places, &process, &pid));
    bool ending = process >= 0 && !instance_answers(places);
    _cleanup_error_ struct error *slow = await_process(process, pid, ending ? END_MILLISECONDS : 0);
    if (!slow)
        return NULL;
    if (syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
        return error_errno(errno, "killing shim %d", pid);
    return await_process(process, pid, KILL_MILLISECONDS);
}

bool instance_answers(const struct places *places)
{
    _cleanup_fd_ int fd = -1;
    _cleanup_error_ struct error *error = unix_connect(places->socket, &fd);
    return !error;
}

/* Under another name first: what is made under the old one from then on is somebody else's. */
struct error *instance_remove(const struct places *places)
{
    _cleanup_free_ char *gone = must_printf("%s.gone", places->sandbox);
    TRY(tree_remove(gone));
    if (rename(places->sandbox, gone) < 0 && errno != ENOENT)
        return error_errno(errno, "removing %s", places->sandbox);
    return tree_remove(gone);
}
