/* SPDX-License-Identifier: Apache-2.0 */
#include "client/attach.h"
#include "client/pump.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>

struct keeper {
    unsigned open;
};

static void stream_ended(void *context, struct error *error)
{
    struct keeper *keeper = context;

    error_free(error);
    keeper->open--;
}

static void keep(struct fifos *fifos, int log)
{
    struct event_base *base = event_base_new();
    struct keeper keeper = {0};
    const int sources[] = {fifos->output, fifos->errors};

    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        if (sources[i] < 0)
            continue;
        pump_new(base, sources[i], log, NULL, stream_ended, &keeper);
        keeper.open++;
    }
    while (keeper.open > 0 && event_base_loop(base, EVLOOP_ONCE) == 0)
        ;
}

/* The lock of the container among others: what this process does not read it must not hold. */
static void close_others(const struct fifos *fifos, int log)
{
    int limit = (int)sysconf(_SC_OPEN_MAX);

    for (int fd = 0; fd < (limit < 1024 ? limit : 1024); fd++)
        if (fd != fifos->output && fd != fifos->errors && fd != log)
            close(fd);
}

struct error *attach_leave_log_keeper(struct fifos *fifos, const char *log_path)
{
    _cleanup_fd_ int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (log < 0)
        return error_errno(errno, "cannot open the log %s", log_path);
    pid_t pid = fork();
    if (pid < 0)
        return error_errno(errno, "cannot start the process that keeps the log");
    if (pid > 0)
        return NULL;
    setsid();
    prctl(PR_SET_NAME, "caisson-log");
    signal(SIGHUP, SIG_IGN);
    if (chdir("/") < 0)
        _exit(1);
    close_others(fifos, log);
    keep(fifos, log);
    _exit(0);
}
