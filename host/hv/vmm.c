/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a caisson-vmm process. It has four channels to us: control (vmm/control.h), the guest's serial
 * console, the link to the agent (a virtio-serial port that the mux divides into streams), and its standard
 * error. As with QEMU only the process's exit ends a machine: whatever goes wrong on a channel is remembered
 * as the fault and the process is killed, so there is one place that tells the owner.
 */
#include "hv/vmm.h"

#include "base/fd.h"
#include "base/process.h"
#include "hv/console.h"
#include "hv/vmm_plan.h"
#include "mux/mux.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

/* Twenty cold starts at once on two cores take a good ten seconds each. */
#define START_DEADLINE_SECONDS 60
/* When the link breaks or the guest has ended, the monitor is ending, too. */
#define GRACE_MILLISECONDS 300
#define CONSOLE_LINES_QUOTED 3

enum state { CREATED, STARTING, RUNNING, PAUSED, ENDED };

struct request {
    hv_done *done; /* NULL: none waits */
    void *context;
};

struct vmm {
    struct hv hv;
    struct event_base *base;
    struct hv_events events;
    void *context;
    enum state state;
    struct vmm_plan *plan;
    pid_t pid; /* 0 once reaped */
    struct process_watch *watch;
    int control;
    struct event *readable;  /* of control */
    uint32_t sent, answered; /* requests; they are answered in order */
    uint32_t start_requests; /* of these, the first ones */
    struct console *console;
    struct console *errors;
    struct mux *mux;
    struct event *timer;  /* the start's deadline, then the grace */
    struct event *failed; /* tells from the loop that a start could not even begin */
    struct request start;
    struct request change; /* pause or resume */
    enum state change_to;
    struct error *fault; /* why we ended it, or why it says that it ended */
    struct error *link_fault;
    bool ending; /* by itself: it said so, or a channel is over */
    bool over;   /* the guest has reset or powered off; the process may take its time to end */
    bool stopping;
    bool *freed;    /* set by vmm_destroy while on_exited calls the owner */
    uint64_t began; /* microseconds of the monotonic clock */
    struct hv_timings timings;
};

static struct vmm *vmm_of(struct hv *hv)
{
    return (struct vmm *)hv;
}

static uint64_t now_microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void note_time(const struct vmm *vmm, uint64_t *phase)
{
    if (*phase == 0)
        *phase = now_microseconds() - vmm->began;
}

/* The first fault is the cause of the others. */
static void note_fault(struct vmm *vmm, struct error *fault)
{
    if (vmm->fault)
        error_free(fault);
    else
        vmm->fault = fault;
}

static void end_with_fault(struct vmm *vmm, struct error *fault)
{
    note_fault(vmm, fault);
    if (vmm->pid > 0)
        kill(vmm->pid, SIGKILL);
}

static void expect_end(struct vmm *vmm)
{
    vmm->ending = true;
    const struct timeval grace = {0, GRACE_MILLISECONDS * 1000};
    event_add(vmm->timer, &grace);
}

static void answer(struct request *request, struct error *error)
{
    struct request taken = *request;
    *request = (struct request){0};
    if (taken.done)
        taken.done(taken.context, error);
    else
        error_free(error);
}

/* --- the control channel --- */

static void on_answer(struct vmm *vmm, const struct control_message *message)
{
    struct error *error = control_answer_error(message);
    if (message->sequence != ++vmm->answered || vmm->answered > vmm->sent) {
        error_free(error);
        end_with_fault(vmm, error_new(ERROR_INTERNAL, "the monitor answered what it was not asked"));
    } else if (vmm->answered <= vmm->start_requests) {
        if (error)
            end_with_fault(vmm, error);
        else if (vmm->answered == vmm->start_requests)
            note_time(vmm, &vmm->timings.monitor);
    } else {
        if (!error)
            vmm->state = vmm->change_to;
        answer(&vmm->change, error);
    }
}

static void note_end(struct vmm *vmm, const struct control_message *message)
{
    if (message->text[0])
        note_fault(vmm, error_new(ERROR_ABORTED, "the virtual machine has ended: %s", message->text));
    else
        vmm->over = true;
}

static void on_message(struct vmm *vmm, const struct control_message *message)
{
    if (message->type == CONTROL_ANSWER) {
        on_answer(vmm, message);
        return;
    }
    if (message->type == CONTROL_STOPPED)
        note_end(vmm, message);
    /* The end of the channel announces the end of the process as well. */
    if (message->type == CONTROL_CLOSED)
        event_del(vmm->readable);
    expect_end(vmm);
}

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
    struct vmm *vmm = argument;
    struct control_message message;
    struct error *error = control_receive(vmm->control, CONTROL_OWNER, &message);
    if (!error) {
        on_message(vmm, &message);
    } else if (error_number(error) == EAGAIN) {
        error_free(error);
    } else {
        event_del(vmm->readable);
        end_with_fault(vmm, error);
    }
}

static struct error *send_request(struct vmm *vmm, enum control_type type)
{
    const struct control_message request = {.type = type, .sequence = vmm->sent + 1};
    TRY(control_send(vmm->control, &request));
    vmm->sent++;
    return NULL;
}

/* --- the link --- */

static void link_ready(void *context)
{
    struct vmm *vmm = context;
    if (vmm->state != STARTING)
        return;
    vmm->state = RUNNING;
    note_time(vmm, &vmm->timings.ready);
    event_del(vmm->timer);
    answer(&vmm->start, NULL);
}

static bool link_incoming(void *context, uint32_t port, struct mux_stream *stream)
{
    struct vmm *vmm = context;
    struct hv_joined joined;
    if (!vmm->events.incoming || !vmm->events.incoming(vmm->context, port, &joined))
        return false;
    mux_attach_socket(stream, joined.socket, joined.over, joined.context);
    return true;
}

static void link_failed(void *context, const struct error *reason)
{
    struct vmm *vmm = context;
    mux_free(TAKE_PTR(vmm->mux));
    if (!vmm->link_fault)
        vmm->link_fault =
            error_new(error_code(reason), "the link to the guest's agent: %s", error_message(reason));
    expect_end(vmm);
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
    struct vmm *vmm = argument;
    if (vmm->over) {
        kill(vmm->pid, SIGKILL);
        return;
    }
    if (vmm->link_fault) {
        end_with_fault(vmm, TAKE_PTR(vmm->link_fault));
        return;
    }
    if (vmm->ending) {
        end_with_fault(vmm, error_new(ERROR_ABORTED, "the monitor did not end with its machine"));
        return;
    }
    _cleanup_free_ char *lines = console_last_lines(vmm->console, CONSOLE_LINES_QUOTED);
    end_with_fault(vmm, error_new(ERROR_DEADLINE_EXCEEDED, "the guest's agent did not answer within %d s%s%s",
                            START_DEADLINE_SECONDS, *lines ? "; its console says: " : "", lines));
}

/* --- the end --- */

static struct error *why_killed(int signal_number)
{
    if (signal_number == SIGKILL)
        return error_new(ERROR_ABORTED,
            "the virtual machine was killed (SIGKILL): by somebody, or because the "
            "host ran out of memory");
    return error_new(ERROR_ABORTED, "the virtual machine's monitor died of signal %d (%s)%s", signal_number,
        strsignal(signal_number),
        signal_number == SIGSYS ? ": it made a system call that its confinement does not allow" : "");
}

/* NULL: a started machine powered off in good order. */
static struct error *why_ended(struct vmm *vmm, int status)
{
    console_flush(vmm->console);
    console_flush(vmm->errors);
    _cleanup_free_ char *panic = console_panic(vmm->console);
    _cleanup_free_ char *console = console_last_lines(vmm->console, CONSOLE_LINES_QUOTED);
    _cleanup_free_ char *errors = console_last_lines(vmm->errors, 1);
    bool started = vmm->state != STARTING;
    if (vmm->stopping)
        return started ? NULL : error_new(ERROR_CANCELLED, "the machine was stopped while it started");
    if (panic)
        return error_new(ERROR_ABORTED, "the guest's kernel panicked: %s (console: %s)", panic, console);
    if (vmm->fault)
        return TAKE_PTR(vmm->fault);
    if (WIFSIGNALED(status) && !vmm->over)
        return why_killed(WTERMSIG(status));
    if (WEXITSTATUS(status) != 0 && !vmm->over)
        return error_new(ERROR_INTERNAL, "the virtual machine's monitor ended with exit code %d%s%s",
            WEXITSTATUS(status), *errors ? ": " : "", errors);
    if (!started)
        return error_new(ERROR_ABORTED, "the guest powered off before its agent answered%s%s",
            *console ? "; its console says: " : "", console);
    return NULL;
}

/* What the monitor said last may not have been read yet. */
static void read_last_messages(struct vmm *vmm)
{
    for (;;) {
        struct control_message message;
        struct error *error = control_receive(vmm->control, CONTROL_OWNER, &message);
        if (error || message.type == CONTROL_CLOSED) {
            error_free(error);
            return;
        }
        if (message.type == CONTROL_STOPPED)
            note_end(vmm, &message);
        struct error *refused = message.type == CONTROL_ANSWER ? control_answer_error(&message) : NULL;
        if (refused && vmm->state == STARTING)
            note_fault(vmm, refused);
        else
            error_free(refused);
    }
}

static void on_exited(void *context, int status)
{
    struct vmm *vmm = context;
    vmm->pid = 0;
    event_del(vmm->readable);
    read_last_messages(vmm);
    _cleanup_error_ struct error *reason = why_ended(vmm, status);
    bool starting = vmm->state == STARTING;
    vmm->state = ENDED;
    event_del(vmm->timer);
    mux_free(TAKE_PTR(vmm->mux));
    /* The owner may free the machine in any of these calls. */
    if (starting) {
        answer(&vmm->start, TAKE_PTR(reason));
        return;
    }
    bool freed = false;
    vmm->freed = &freed;
    answer(&vmm->change, error_new(ERROR_ABORTED, "the machine has ended"));
    if (freed)
        return;
    vmm->freed = NULL;
    vmm->events.stopped(vmm->context, reason);
}

/* --- the calls of hv.h --- */

static void console_began(void *context)
{
    struct vmm *vmm = context;
    note_time(vmm, &vmm->timings.console);
}

/* Each channel has one owner from here on, whatever fails. */
static struct error *watch_channels(struct vmm *vmm, struct vmm_channels *channels)
{
    static const struct mux_events link = {link_ready, link_incoming, link_failed};
    vmm->control = TAKE_FD(channels->control);
    TRY(console_new(vmm->base, TAKE_FD(channels->errors), NULL, NULL, &vmm->errors));
    TRY(console_new(vmm->base, TAKE_FD(channels->console), console_began, vmm, &vmm->console));
    vmm->readable = event_new(vmm->base, vmm->control, EV_READ | EV_PERSIST, on_readable, vmm);
    if (!vmm->readable || event_add(vmm->readable, NULL) < 0)
        return error_new(ERROR_INTERNAL, "the event loop refused the monitor's control channel");
    return mux_new(vmm->base, TAKE_FD(channels->link), true, &link, vmm, &vmm->mux);
}

static struct error *launch(struct vmm *vmm)
{
    struct vmm_channels channels;
    TRY(vmm_plan_spawn(vmm->plan, &vmm->pid, &channels, &vmm->start_requests));
    vmm->sent = vmm->start_requests;
    note_time(vmm, &vmm->timings.spawned);
    struct error *error = watch_channels(vmm, &channels);
    close_fd(channels.errors);
    close_fd(channels.console);
    close_fd(channels.link);
    if (error)
        return error;
    const struct timeval deadline = {START_DEADLINE_SECONDS, 0};
    event_add(vmm->timer, &deadline);
    return process_watch_new(vmm->base, vmm->pid, on_exited, vmm, &vmm->watch);
}

static void kill_and_reap(struct vmm *vmm)
{
    if (vmm->pid <= 0)
        return;
    kill(vmm->pid, SIGKILL);
    while (waitpid(vmm->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    vmm->pid = 0;
}

static void on_start_failed(evutil_socket_t fd, short what, void *argument)
{
    struct vmm *vmm = argument;
    answer(&vmm->start, TAKE_PTR(vmm->fault));
}

static void vmm_start(struct hv *hv, hv_done *done, void *context)
{
    struct vmm *vmm = vmm_of(hv);
    vmm->start = (struct request){done, context};
    struct error *error = NULL;
    if (vmm->state == CREATED) {
        vmm->state = STARTING;
        vmm->began = now_microseconds();
        error = launch(vmm);
    } else {
        error = error_new(ERROR_FAILED_PRECONDITION, "the machine was started before");
    }
    if (!error)
        return;
    kill_and_reap(vmm);
    vmm->state = ENDED;
    vmm->fault = error;
    event_active(vmm->failed, EV_TIMEOUT, 1);
}

static void change_state(
    struct vmm *vmm, enum state from, enum state to, enum control_type type, hv_done *done, void *context)
{
    struct error *error = NULL;
    if (vmm->state != from || vmm->change.done)
        error = error_new(
            ERROR_FAILED_PRECONDITION, "the machine is not %s", from == RUNNING ? "running" : "paused");
    if (!error)
        error = send_request(vmm, type);
    if (error) {
        done(context, error);
        return;
    }
    vmm->change = (struct request){done, context};
    vmm->change_to = to;
}

static void vmm_pause(struct hv *hv, hv_done *done, void *context)
{
    change_state(vmm_of(hv), RUNNING, PAUSED, CONTROL_PAUSE, done, context);
}

static void vmm_resume(struct hv *hv, hv_done *done, void *context)
{
    change_state(vmm_of(hv), PAUSED, RUNNING, CONTROL_RESUME, done, context);
}

static uint64_t memory_address(const struct hv *hv, uint64_t offset)
{
    return vmm_memory_address(offset);
}

static struct error *open_stream(struct vmm *vmm, uint32_t port, struct mux_stream **ret_stream)
{
    if ((vmm->state != RUNNING && vmm->state != PAUSED) || !vmm->mux)
        return error_new(ERROR_FAILED_PRECONDITION, "the machine is not running");
    return mux_open(vmm->mux, port, ret_stream);
}

static struct error *vmm_connect(struct hv *hv, uint32_t port, int *ret_fd, uint32_t *ret_host_port)
{
    _cleanup_fd_ int ours = -1, theirs = -1;
    TRY(unix_pair(&ours, &theirs));
    struct mux_stream *stream;
    TRY(open_stream(vmm_of(hv), port, &stream));
    if (ret_host_port)
        *ret_host_port = mux_stream_id(stream);
    mux_attach_socket(stream, TAKE_FD(ours), NULL, NULL);
    *ret_fd = TAKE_FD(theirs);
    return NULL;
}

static struct error *vmm_join(struct hv *hv, uint32_t port, const struct hv_joined *joined)
{
    _cleanup_fd_ int socket = joined->socket;
    struct mux_stream *stream;
    TRY(open_stream(vmm_of(hv), port, &stream));
    mux_attach_socket(stream, TAKE_FD(socket), joined->over, joined->context);
    return NULL;
}

static void vmm_stop(struct hv *hv)
{
    struct vmm *vmm = vmm_of(hv);
    vmm->stopping = true;
    if (vmm->pid > 0)
        kill(vmm->pid, SIGKILL);
}

static pid_t vmm_process(const struct hv *hv)
{
    return ((const struct vmm *)hv)->pid;
}

static void vmm_timings(const struct hv *hv, struct hv_timings *ret_timings)
{
    *ret_timings = ((const struct vmm *)hv)->timings;
}

static char *vmm_console(const struct hv *hv)
{
    const struct vmm *vmm = (const struct vmm *)hv;
    return vmm->console ? console_text(vmm->console) : must_copy("");
}

static void free_event(struct event *event)
{
    if (event)
        event_free(event);
}

static void vmm_destroy(struct hv *hv)
{
    struct vmm *vmm = vmm_of(hv);
    if (vmm->freed)
        *vmm->freed = true;
    process_watch_free(vmm->watch);
    kill_and_reap(vmm);
    mux_free(vmm->mux);
    console_free(vmm->console);
    console_free(vmm->errors);
    vmm_plan_free(vmm->plan);
    free_event(vmm->readable);
    free_event(vmm->timer);
    free_event(vmm->failed);
    close_fd(vmm->control);
    error_free(vmm->fault);
    error_free(vmm->link_fault);
    free(vmm);
}

static struct error *vmm_create(struct event_base *base, const struct hv_config *config,
    const struct hv_events *events, void *context, struct hv **ret_hv)
{
    struct vmm *vmm = must_new(struct vmm);
    vmm->hv.ops = &vmm_ops;
    vmm->base = base;
    vmm->events = *events;
    vmm->context = context;
    vmm->control = -1;
    vmm->timer = event_new(base, -1, 0, on_timer, vmm);
    vmm->failed = event_new(base, -1, 0, on_start_failed, vmm);
    struct error *error = vmm_plan_new(config, &vmm->plan);
    if (!error && (!vmm->timer || !vmm->failed))
        error = error_new(ERROR_INTERNAL, "the event loop refused a timer");
    if (error) {
        vmm_destroy(&vmm->hv);
        return error;
    }
    *ret_hv = &vmm->hv;
    return NULL;
}

const struct hv_ops vmm_ops = {
    .name = "caisson-vmm",
    .capabilities = HV_PAUSE | HV_SHARE | HV_GROW | HV_TAP | HV_IDLE_VCPUS,
    .room = vmm_room,
    .create = vmm_create,
    .start = vmm_start,
    .pause = vmm_pause,
    .resume = vmm_resume,
    .memory_address = memory_address,
    .connect = vmm_connect,
    .join = vmm_join,
    .stop = vmm_stop,
    .process = vmm_process,
    .timings = vmm_timings,
    .console = vmm_console,
    .destroy = vmm_destroy,
};
