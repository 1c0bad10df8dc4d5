/* SPDX-License-Identifier: Apache-2.0 */
#include "client/signals.h"

#include "base/parse.h"

#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>

struct signals {
    int fd;
    struct event *event;
    signal_received *received;
    void *context;
};

static const int handled[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT, SIGWINCH};
static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

bool signal_ends(int signal)
{
    for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
        if (ending[i] == signal)
            return true;
    return false;
}

struct error *signals_new(struct signals **ret_signals)
{
    struct signals *signals;
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(handled); i++)
        sigaddset(&set, handled[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return error_errno(errno, "cannot block signals");
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return error_errno(errno, "cannot open a descriptor for signals");
    signals = must_new(struct signals);
    signals->fd = fd;
    *ret_signals = signals;
    return NULL;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    struct signals *signals = context;
    struct signalfd_siginfo info;

    while (read(signals->fd, &info, sizeof(info)) == sizeof(info))
        signals->received(signals->context, (int)info.ssi_signo);
}

void signals_watch(struct signals *signals, struct event_base *base, signal_received *received, void *context)
{
    signals->received = received;
    signals->context = context;
    if (signals->event)
        return;
    signals->event = event_new(base, signals->fd, EV_READ | EV_PERSIST, on_readable, signals);
    if (!signals->event || event_add(signals->event, NULL) < 0)
        abort(); /* only for want of memory */
}

int signals_pending_end(void)
{
    sigset_t set;

    sigpending(&set);
    for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
        if (sigismember(&set, ending[i]))
            return ending[i];
    return 0;
}

void signals_free(struct signals *signals)
{
    if (!signals)
        return;
    if (signals->event)
        event_free(signals->event);
    close_fd(signals->fd);
    free(signals);
}

/* sigabbrev_np has no way back, so the names are looked through; real-time signals go by number. */
struct error *signal_parse(const char *text, int *ret_signal)
{
    const char *name = strncasecmp(text, "SIG", 3) ? text : text + 3;
    uint64_t number;

    for (int signal = 1; signal < SIGRTMIN; signal++) {
        const char *known = sigabbrev_np(signal);
        if (known && !strcasecmp(known, name)) {
            *ret_signal = signal;
            return NULL;
        }
    }
    struct error *error = parse_unsigned("signal", text, 1, 64, &number);
    if (error) {
        error_free(error);
        return error_new(ERROR_INVALID_ARGUMENT, "there is no signal \"%s\"", text);
    }
    *ret_signal = (int)number;
    return NULL;
}
