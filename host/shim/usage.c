/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/usage.h"

#include "base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define STAT_MAX 4096
#define NANOSECONDS 1000000000ull

struct error *usage_of_process(pid_t pid, struct usage *ret_usage)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/stat", pid);
    _cleanup_free_ char *text = NULL;
    unsigned long long user = 0, system_ = 0;
    long long pages = 0;
    if (pid <= 0)
        return error_new(ERROR_FAILED_PRECONDITION, "the sandbox has no machine");
    TRY(file_read(AT_FDCWD, path, STAT_MAX, &text, NULL));
    /* The name may hold anything; fields are counted from behind its last parenthesis: utime is the 14th. */
    const char *fields = strrchr(text, ')');
    if (!fields ||
        sscanf(fields + 1,
            " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %*u %*u %lld",
            &user, &system_, &pages) != 3)
        return error_new(ERROR_INTERNAL, "%s cannot be read", path);
    uint64_t tick = NANOSECONDS / (uint64_t)sysconf(_SC_CLK_TCK);
    *ret_usage = (struct usage){.user_time = user * tick,
        .system_time = system_ * tick,
        .memory = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE)};
    return NULL;
}
