/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a command and measures it from outside.
 *
 *     launcher [-n TIMES] [-f BYTES] COMMAND [ARGUMENT...]
 *
 * Each run gives one line on standard output:
 *
 *     WALL USER SYSTEM MAXRSS STATUS BYTES STREAM
 *
 * WALL is from just before fork to the moment that the command's end is known; USER and SYSTEM are what it
 * and the children it waited for used; all three and STREAM are microseconds. MAXRSS is KiB. STATUS is the
 * exit code, or 128 and the signal. BYTES came out of its standard output, in STREAM from the first of them
 * to the last. With -f that many bytes are fed to its standard input, which is empty otherwise.
 *
 * It is a small C program because what a launcher is, its children inherit: ru_maxrss survives exec, so a
 * child of an interpreter reports the interpreter's size, and a big parent makes fork itself slow. Standard
 * output is a pipe that is always read, so that a command never waits for the one who measures.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WATCH_END, WATCH_OUTPUT, WATCH_INPUT, WATCH_COUNT };

struct run {
    pid_t pid;
    struct pollfd watched[WATCH_COUNT]; /* fd -1: closed */
    uint64_t to_feed;
    uint64_t bytes;
    int64_t first, last; /* when output came, microseconds */
};

static char fed[256 * 1024], collected[256 * 1024];

static void die(const char *what)
{
    fprintf(stderr, "launcher: %s: %s\n", what, strerror(errno));
    exit(125);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static int64_t microseconds(struct timeval time)
{
    return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

static void close_watched(struct run *run, int which)
{
    if (run->watched[which].fd >= 0)
        close(run->watched[which].fd);
    run->watched[which].fd = -1;
}

/* In the child: never returns. */
static void become(char **command, int input, int output)
{
    signal(SIGPIPE, SIG_DFL);
    if (dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0)
        execvp(command[0], command);
    die(command[0]);
}

/* The ends of a run's pipes that the command gets; all descriptors close on exec. */
static void open_pipes(struct run *run, int *ret_input, int *ret_output)
{
    int input[2] = {-1, -1}, output[2];
    if (pipe2(output, O_CLOEXEC) < 0)
        die("pipe");
    if (run->to_feed && pipe2(input, O_CLOEXEC) < 0)
        die("pipe");
    if (!run->to_feed)
        input[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    fcntl(input[1], F_SETFL, O_NONBLOCK);
    run->watched[WATCH_OUTPUT] = (struct pollfd){.fd = output[0], .events = POLLIN};
    run->watched[WATCH_INPUT] = (struct pollfd){.fd = input[1], .events = POLLOUT};
    *ret_input = input[0];
    *ret_output = output[1];
}

static void feed(struct run *run)
{
    size_t size = run->to_feed < sizeof(fed) ? (size_t)run->to_feed : sizeof(fed);
    ssize_t written = write(run->watched[WATCH_INPUT].fd, fed, size);
    if (written > 0)
        run->to_feed -= (uint64_t)written;
    else if (errno != EAGAIN)
        run->to_feed = 0;
    if (run->to_feed == 0)
        close_watched(run, WATCH_INPUT);
}

/* False when nothing is to be had at the moment, or ever again. */
static bool collect(struct run *run)
{
    ssize_t got = read(run->watched[WATCH_OUTPUT].fd, collected, sizeof(collected));
    if (got > 0) {
        run->last = now();
        if (run->bytes == 0)
            run->first = run->last;
        run->bytes += (uint64_t)got;
    } else if (got == 0 || errno != EAGAIN) {
        close_watched(run, WATCH_OUTPUT);
    }
    return got > 0;
}

/* Until the command has ended; returns when that was. */
static int64_t attend(struct run *run)
{
    for (;;) {
        if (poll(run->watched, WATCH_COUNT, -1) < 0 && errno != EINTR)
            die("poll");
        if (run->watched[WATCH_END].revents)
            return now();
        if (run->watched[WATCH_OUTPUT].revents)
            collect(run);
        if (run->watched[WATCH_INPUT].revents)
            feed(run);
    }
}

static void measure(char **command, uint64_t to_feed)
{
    struct run run = {.to_feed = to_feed};
    int input, output, status;
    open_pipes(&run, &input, &output);

    int64_t begin = now();
    run.pid = fork();
    if (run.pid < 0)
        die("fork");
    if (run.pid == 0)
        become(command, input, output);
    close(input);
    close(output);
    int end = (int)syscall(SYS_pidfd_open, run.pid, 0);
    if (end < 0)
        die("pidfd_open");
    run.watched[WATCH_END] = (struct pollfd){.fd = end, .events = POLLIN};
    int64_t wall = attend(&run) - begin;

    struct rusage usage;
    if (wait4(run.pid, &status, 0, &usage) < 0)
        die("wait");
    while (run.watched[WATCH_OUTPUT].fd >= 0 && collect(&run))
        continue;
    for (int i = 0; i < WATCH_COUNT; i++)
        close_watched(&run, i);
    printf("%jd %jd %jd %ld %d %ju %jd\n", (intmax_t)wall, (intmax_t)microseconds(usage.ru_utime),
        (intmax_t)microseconds(usage.ru_stime), usage.ru_maxrss,
        WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), (uintmax_t)run.bytes,
        (intmax_t)(run.last - run.first));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    unsigned long times = 1;
    uint64_t to_feed = 0;
    int option;
    /* "+": what follows the command is the command's. */
    while ((option = getopt(argc, argv, "+n:f:")) != -1) {
        if (option == 'n')
            times = strtoul(optarg, NULL, 10);
        else if (option == 'f')
            to_feed = strtoull(optarg, NULL, 10);
        else
            optind = argc;
    }
    if (optind >= argc) {
        fprintf(stderr, "usage: launcher [-n TIMES] [-f BYTES] COMMAND [ARGUMENT...]\n");
        return 125;
    }
    signal(SIGPIPE, SIG_IGN);
    memset(fed, 'c', sizeof(fed));
    while (times-- > 0)
        measure(argv + optind, to_feed);
    return 0;
}
