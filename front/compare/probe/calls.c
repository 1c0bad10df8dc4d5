/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hardening drill: every system call number is tried, each in a child of its own, with arguments that the
 * kernel refuses (-1 is no pointer, no descriptor, no process and no set of flags). What comes back tells
 * whether there is something behind the number:
 *
 *     a  answered: any result but the three below, also when the call blocks or ends the process as it should
 *     n  ENOSYS: nobody there
 *     p  EPERM: refused, by a filter or for want of a capability
 *     k  killed by the filter (SIGSYS)
 *
 * A child has a session of its own (vhangup then has no terminal to hang up), and one that blocks is ended.
 */
#include "probe.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Beyond the newest number of Linux 7.0; a kernel that has more is not asked for it. */
#define CALLS_MAX 480
/* A call that has not come back by then blocks. */
#define BLOCKS_NANOSECONDS 300000000

/* Shared with the child. */
struct answer {
    long result;
    bool came;
};

#if defined(__x86_64__)
/* Inline, because after vfork the child shares the parent's stack and must not return through it. */
static inline __attribute__((always_inline)) long raw_call(long number, const long a[6])
{
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8") = a[4];
    register long r9 __asm__("r9") = a[5];
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline __attribute__((always_inline)) long raw_call(long number, const long a[6])
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a[0];
    register long x1 __asm__("x1") = a[1];
    register long x2 __asm__("x2") = a[2];
    register long x3 __asm__("x3") = a[3];
    register long x4 __asm__("x4") = a[4];
    register long x5 __asm__("x5") = a[5];
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
#error "no system call sequence for this architecture"
#endif

/* These answer ENOSYS to an operation that they do not know, and so get one that they do. */
static void choose_arguments(long number, long a[6], int *word)
{
    for (int i = 0; i < 6; i++)
        a[i] = -1;
    if (number == SYS_futex) {
        a[0] = (long)(uintptr_t)word;
        a[1] = 1; /* FUTEX_WAKE */
        a[2] = 0;
    }
#ifdef SYS_modify_ldt
    if (number == SYS_modify_ldt)
        a[0] = a[1] = a[2] = 0; /* read nothing */
#endif
}

static inline __attribute__((always_inline)) bool makes_child(long number)
{
#ifdef SYS_fork
    if (number == SYS_fork || number == SYS_vfork)
        return true;
#endif
    return false;
}

static __attribute__((noreturn)) void try_call(long number, struct answer *answer)
{
    static const long no_arguments[6] = {0};
    const struct rlimit no_core = {0, 0};
    long a[6];
    int word = 0;

    setrlimit(RLIMIT_CORE, &no_core);
    setsid();
    choose_arguments(number, a, &word);
    long result = raw_call(number, a);
    if (result == 0 && makes_child(number))
        for (;;)
            raw_call(SYS_exit_group, no_arguments);
    answer->result = result;
    answer->came = true;
    for (;;)
        raw_call(SYS_exit_group, no_arguments);
}

/* The status of the child as wait(2) gives it; one that blocks is killed. */
static int wait_for(pid_t child, const sigset_t *ended)
{
    const struct timespec patience = {.tv_nsec = BLOCKS_NANOSECONDS};
    int status = 0;
    pid_t reaped = waitpid(child, &status, WNOHANG);
    while (reaped == 0) {
        if (sigtimedwait(ended, NULL, &patience) < 0 && errno == EAGAIN)
            kill(child, SIGKILL);
        reaped = waitpid(child, &status, WNOHANG);
    }
    return status;
}

static char classify(const struct answer *answer, int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        return 'k';
    if (answer->came && answer->result == -ENOSYS)
        return 'n';
    if (answer->came && answer->result == -EPERM)
        return 'p';
    return 'a';
}

int probe_calls(char **arguments)
{
    struct json writer = {0}, *json = &writer;
    char classes[CALLS_MAX + 1] = {0};
    sigset_t ended;
    struct answer *answer =
        mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (answer == MAP_FAILED)
        return 125;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ended, NULL);
    for (long number = 0; number < CALLS_MAX; number++) {
        *answer = (struct answer){0};
        pid_t child = fork();
        if (child < 0)
            return 125;
        if (child == 0)
            try_call(number, answer);
        classes[number] = classify(answer, wait_for(child, &ended));
    }
    json_open(json, '{');
    json_key(json, "classes");
    json_text(json, classes);
    json_close(json, '}');
    json_done();
    return 0;
}
