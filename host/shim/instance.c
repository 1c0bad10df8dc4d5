/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/instance.h"

#include "base/fd.h"
#include "base/parse.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>

#define KILL_MILLISECONDS 2000

static struct error *open_lock(const struct places *places, int *ret_fd)
{
    int fd = open(places->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(errno, "%s", places->lock);
    *ret_fd = fd;
    return NULL;
}

struct error *instance_lock(const struct places *places, int *ret_fd)
{
    _cleanup_fd_ int fd = -1;
    TRY(open_lock(places, &fd));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return error_new(ERROR_ALREADY_EXISTS, "a shim for this sandbox runs already");
    *ret_fd = TAKE_FD(fd);
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

static struct error *kill_and_wait(pid_t pid)
{
    _cleanup_fd_ int process = (int)syscall(SYS_pidfd_open, pid, 0);
    if (process < 0 && errno == ESRCH)
        return NULL;
    if (process < 0 || kill(pid, SIGKILL) < 0)
        return error_errno(errno, "killing shim %d", pid);
    struct pollfd ended = {.fd = process, .events = POLLIN};
    if (poll(&ended, 1, KILL_MILLISECONDS) == 0)
        return error_new(ERROR_DEADLINE_EXCEEDED, "shim %d does not end", pid);
    return NULL;
}

struct error *instance_kill(const struct places *places)
{
    _cleanup_fd_ int lock = -1;
    pid_t pid = 0;
    if (access(places->lock, F_OK) < 0)
        return NULL;
    TRY(open_lock(places, &lock));
    if (flock(lock, LOCK_EX | LOCK_NB) == 0)
        return NULL;
    TRY(read_holder(lock, &pid));
    return kill_and_wait(pid);
}

bool instance_answers(const struct places *places)
{
    _cleanup_fd_ int fd = -1;
    _cleanup_error_ struct error *error = unix_connect(places->socket, &fd);
    return !error;
}
