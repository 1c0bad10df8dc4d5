/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup/members.h"

#include "base/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#define LIST_MAX (1u << 20)
/* As many are waited for at a time. */
#define WATCHED_MAX 64

struct error *members_move(const char *list, pid_t pid)
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%d", pid);
    _cleanup_fd_ int fd = open(list, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "%s", list);
    if (write(fd, text, (size_t)length) < 0)
        return error_errno(errno, "%s: moving process %d", list, pid);
    return NULL;
}

/* As text, NULL where the cgroup is gone. Processes of other pid namespaces appear as 0. */
static char *read_list(const char *directory)
{
    _cleanup_free_ char *path = must_printf("%s/cgroup.procs", directory);
    char *text = NULL;
    _cleanup_error_ struct error *error = file_read(AT_FDCWD, path, LIST_MAX, &text, NULL);
    return error ? NULL : text;
}

/* The next number of the text, which is moved on; 0 at its end. */
static pid_t next_pid(char **text)
{
    while (**text) {
        long pid = strtol(*text, text, 10);
        *text += **text == '\n';
        if (pid > 0)
            return (pid_t)pid;
    }
    return 0;
}

void members_expel(const char *directory, const char *to, const char *else_to)
{
    _cleanup_free_ char *text = read_list(directory);
    _cleanup_free_ char *list = must_printf("%s/cgroup.procs", to);
    _cleanup_free_ char *else_list = must_printf("%s/cgroup.procs", else_to);
    char *at = text;
    for (pid_t pid; at && (pid = next_pid(&at));) {
        _cleanup_error_ struct error *error = members_move(list, pid);
        if (error_number(error) == ENOENT || error_number(error) == ENODEV)
            error_free(members_move(else_list, pid));
    }
}

/* ---- waiting ---- */

struct timespec members_deadline(unsigned milliseconds)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += milliseconds / 1000;
    at.tv_nsec += milliseconds % 1000 * 1000000L;
    return at;
}

static int milliseconds_until(struct timespec deadline)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t left = (deadline.tv_sec - now.tv_sec) * 1000 + (deadline.tv_nsec - now.tv_nsec) / 1000000;
    return left > 0 ? (int)left : 0;
}

static size_t watch_members(const char *directory, struct pollfd *watched)
{
    _cleanup_free_ char *text = read_list(directory);
    char *at = text;
    size_t count = 0;
    for (pid_t pid; at && count < WATCHED_MAX && (pid = next_pid(&at));) {
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (fd >= 0)
            watched[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    return count;
}

/* Whether each of them ended in time. */
static bool await_all(struct pollfd *watched, size_t count, struct timespec deadline)
{
    bool ended = true;
    for (size_t i = 0; i < count; i++) {
        int ready;
        do {
            ready = poll(&watched[i], 1, milliseconds_until(deadline));
        } while (ready < 0 && errno == EINTR);
        ended = ended && ready > 0;
        close_fd(watched[i].fd);
    }
    return ended;
}

/* One that ends may have left children behind, so it looks again. */
void members_await_end(const char *directory, struct timespec deadline)
{
    struct pollfd watched[WATCHED_MAX];
    size_t count;
    do {
        count = watch_members(directory, watched);
    } while (await_all(watched, count, deadline) && count > 0 && milliseconds_until(deadline) > 0);
}
