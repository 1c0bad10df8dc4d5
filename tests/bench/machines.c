/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machines ROUNDS HYPERVISOR...: starts one machine after another, in turns, until its agent answers, and
 * prints a line for each: "HYPERVISOR spawned monitor console ready pss", in microseconds since the start and
 * KiB. After that, for caisson-vmm, "exits KIND COUNT" of one start. The first round warms up and is not
 * printed. Kernel and initrd are $CAISSON_KERNEL and $CAISSON_INITRD; machines have one processor and 128
 * MiB.
 */
#include "base/fd.h"
#include "hv/hv.h"
#include "hv/vmm_plan.h"
#include "mux/mux.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define ROLLUP_MAX 4096

struct run {
    struct event_base *base;
    struct error *error;
    int control;
};

static void on_started(void *context, struct error *error)
{
    struct run *run = context;
    run->error = error;
    event_base_loopbreak(run->base);
}

static void on_stopped(void *context, const struct error *reason)
{
}

/* Proportional memory of a process in KiB, the guest's included; 0 where it cannot be read. */
static long pss(pid_t pid)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/smaps_rollup", pid), *text = NULL;
    error_free(file_read(AT_FDCWD, path, ROLLUP_MAX, &text, NULL));
    const char *found = text ? strstr(text, "\nPss:") : NULL;
    return found ? strtol(found + strlen("\nPss:"), NULL, 10) : 0;
}

static struct hv_config machine(void)
{
    return (struct hv_config){
        .name = "bench",
        .directory = "/tmp",
        .kernel = getenv("CAISSON_KERNEL"),
        .initrd = getenv("CAISSON_INITRD"),
        .vcpus = 1,
        .memory = UINT64_C(128) << 20,
    };
}

static struct error *start_one(struct run *run, const struct hv_ops *ops, bool print)
{
    static const struct hv_events events = {on_stopped};
    const struct hv_config config = machine();
    struct hv *hv;
    TRY(hv_new(ops, run->base, &config, &events, run, &hv));
    hv_start(hv, on_started, run);
    event_base_dispatch(run->base);
    if (run->error) {
        hv_free(hv);
        return TAKE_PTR(run->error);
    }
    struct hv_timings timings;
    hv_timings(hv, &timings);
    if (print)
        printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %ld\n", ops->name, timings.spawned,
            timings.monitor, timings.console, timings.ready, pss(hv_process(hv)));
    hv_free(hv);
    return NULL;
}

/* --- exits, which hv.h does not tell: as the driver starts the monitor, and one request more --- */

static void link_ready(void *context)
{
    struct run *run = context;
    const struct control_message request = {.type = CONTROL_COUNT_EXITS};
    run->error = control_send(run->control, &request);
    event_base_loopbreak(run->base);
}

static void link_failed(void *context, const struct error *reason)
{
    struct run *run = context;
    run->error = error_new(error_code(reason), "%s", error_message(reason));
    event_base_loopbreak(run->base);
}

static bool link_incoming(void *context, uint32_t port, struct mux_stream *stream)
{
    return false;
}

/* The answers to what started the machine come first. */
static struct error *print_exits(struct run *run, uint32_t answers)
{
    struct control_message message;
    for (uint32_t i = 0; i <= answers; i++) {
        TRY(control_receive(run->control, CONTROL_OWNER, &message));
        TRY(control_answer_error(&message));
    }
    for (char *rest = NULL, *line = strtok_r(message.text, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest))
        printf("exits %s\n", line);
    return NULL;
}

static struct error *count_exits(struct run *run)
{
    static const struct mux_events link = {link_ready, link_incoming, link_failed};
    const struct hv_config config = machine();
    _cleanup_(vmm_plan_free) struct vmm_plan *plan = NULL;
    struct vmm_channels channels;
    struct mux *mux;
    uint32_t answers;
    pid_t pid;
    TRY(vmm_plan_new(&config, &plan));
    TRY(vmm_plan_spawn(plan, &pid, &channels, &answers));
    run->control = channels.control;
    TRY(fd_set_nonblocking(run->control, false));
    TRY(mux_new(run->base, channels.link, true, &link, run, &mux));
    event_base_dispatch(run->base);
    struct error *error = run->error ? TAKE_PTR(run->error) : print_exits(run, answers);
    mux_free(mux);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return error;
}

static struct error *measure(struct run *run, int rounds, char **names)
{
    bool own = false;
    for (int round = 0; round <= rounds; round++) {
        for (char **name = names; *name; name++) {
            const struct hv_ops *ops = hv_by_name(*name);
            if (!ops)
                return error_new(ERROR_INVALID_ARGUMENT, "there is no hypervisor %s", *name);
            own |= strcmp(*name, "caisson-vmm") == 0;
            TRY(start_one(run, ops, round > 0));
        }
    }
    return own ? count_exits(run) : NULL;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s ROUNDS HYPERVISOR...\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct run run = {.base = event_base_new()};
    _cleanup_error_ struct error *error = measure(&run, atoi(argv[1]), argv + 2);
    if (error)
        fprintf(stderr, "machines: %s\n", error_message(error));
    event_base_free(run.base);
    return error ? 1 : 0;
}
