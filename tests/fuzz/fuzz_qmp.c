/* SPDX-License-Identifier: Apache-2.0 */
/* What a QEMU that its guest took over could say on its monitor. */
#include "base/fd.h"
#include "hv/qmp.h"

#include <signal.h>
#include <sys/socket.h>

struct world {
    struct qmp *qmp;
    bool failed;
};

static void ignore_answer(void *context, struct error *error)
{
    error_free(error);
}

static void on_ready(void *context)
{
    struct world *world = context;
    qmp_call(world->qmp, "stop", ignore_answer, NULL);
}

static void on_event(void *context, const char *name, const json_t *data)
{
}

static void on_failed(void *context, const struct error *reason)
{
    ((struct world *)context)->failed = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct qmp_events events = {on_ready, on_event, on_failed};
    signal(SIGPIPE, SIG_IGN);
    struct world world = {0};
    struct event_base *base = event_base_new();
    int ours, theirs;
    if (unix_pair(&ours, &theirs) || qmp_new(base, ours, &events, &world, &world.qmp))
        abort();
    for (size_t sent = 0; sent < size && !world.failed;) {
        size_t piece = size - sent < 16384 ? size - sent : 16384;
        ssize_t count = send(theirs, data + sent, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count <= 0)
            break;
        sent += (size_t)count;
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    qmp_free(world.qmp);
    close_fd(theirs);
    event_base_free(base);
    return 0;
}
