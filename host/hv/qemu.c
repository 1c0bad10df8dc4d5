/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a QEMU process. It has four channels to us: the monitor (QMP), the guest's serial console, the
 * link to the agent (a virtio-serial port that the mux divides into streams), and its standard error. Only
 * the process's exit ends a machine here: whatever goes wrong on a channel is remembered as the fault and
 * QEMU is killed, so there is one place that tells the owner.
 */
#include "hv/qemu.h"

#include "base/fd.h"
#include "base/process.h"
#include "hv/console.h"
#include "hv/qemu_arguments.h"
#include "hv/qemu_disks.h"
#include "hv/qemu_failure.h"
#include "hv/qemu_plan.h"
#include "hv/qemu_snapshot.h"
#include "hv/qmp.h"
#include "hv/relay.h"
#include "mux/mux.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

/* A start is given up when its console has been silent for so long: thirty cold starts at once, on two cores
   that have other work, take more than a minute each, and get there. One that goes on telling has no end, so:
   so many times. */
#define START_DEADLINE_SECONDS 60
#define START_DEADLINES 10
/* When the link breaks, QEMU is most likely ending and its exit says more. */
#define LINK_GRACE_MILLISECONDS 300
#define CONSOLE_LINES_QUOTED 3
/* Nobody listens on it in the guest. */
#define NO_PORT 0

enum state { CREATED, STARTING, RUNNING, PAUSED, ENDED };

struct request {
    hv_done *done; /* NULL: none waits */
    void *context;
};

struct qemu {
    struct hv hv;
    struct event_base *base;
    struct hv_events events;
    void *context;
    enum state state;
    struct qemu_plan *plan;
    pid_t pid; /* 0 once reaped */
    struct process_watch *watch;
    struct qmp *qmp;
    struct console *console;
    struct console *errors;
    struct mux *mux;
    struct qemu_disks *disks; /* NULL: the machine has no controller for them */
    struct relay **relays;    /* for ports published on IPv6 addresses */
    size_t relay_count;
    struct event *timer;  /* the start's deadline, then the grace after a broken link */
    unsigned deadlines;   /* of the start, that have passed */
    uint64_t heard;       /* from the console, when the last one passed */
    struct event *failed; /* tells from the loop that a start could not even begin */
    struct request start;
    struct request change; /* pause or resume */
    struct request save;
    int state_fd;  /* of the snapshot: to start from until it is read, then -1; or to save into */
    bool snapshot; /* it can be saved */
    enum state change_to;
    struct error *fault; /* why we ended it */
    struct error *link_fault;
    bool stopping;
    bool *freed;    /* set by qemu_destroy while on_exited calls the owner */
    uint64_t began; /* microseconds of the monotonic clock */
    struct hv_timings timings;
};

static struct qemu *qemu_of(struct hv *hv)
{
    return (struct qemu *)hv;
}

static uint64_t now_microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void note_time(const struct qemu *qemu, uint64_t *phase)
{
    if (*phase == 0)
        *phase = now_microseconds() - qemu->began;
}

/* The first fault is the cause of the others. */
static void end_with_fault(struct qemu *qemu, struct error *fault)
{
    if (qemu->fault)
        error_free(fault);
    else
        qemu->fault = fault;
    if (qemu->pid > 0)
        kill(qemu->pid, SIGKILL);
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

/* --- the monitor --- */

static void restoring(void *context, struct error *error)
{
    if (error)
        end_with_fault(context, error_wrap(error, "starting from the snapshot"));
}

static void monitor_ready(void *context)
{
    struct qemu *qemu = context;
    note_time(qemu, &qemu->timings.monitor);
    if (qemu->state_fd < 0)
        return;
    qemu_snapshot_begin(qemu->qmp, "migrate-incoming", qemu->state_fd, restoring, qemu);
    close_fd(TAKE_FD(qemu->state_fd));
}

/* Its state went to a file, or came from one. */
static void migrated(struct qemu *qemu, bool completed)
{
    if (qemu->state == STARTING && completed)
        note_time(qemu, &qemu->timings.restored);
    else if (qemu->state == STARTING)
        end_with_fault(qemu, error_new(ERROR_INTERNAL, "QEMU could not start from the snapshot"));
    else
        answer(&qemu->save,
            completed ? NULL : error_new(ERROR_INTERNAL, "QEMU could not save the machine's state"));
}

/* Other reasons are the guest's own doing and show in its console, or ours. */
static void monitor_event(void *context, const char *name, const json_t *data)
{
    struct qemu *qemu = context;
    if (qemu->disks && strcmp(name, "DEVICE_DELETED") == 0) {
        qemu_disks_event(qemu->disks, name, data);
        return;
    }
    enum qemu_snapshot_progress progress = qemu_snapshot_event(name, data);
    if (progress != QEMU_SNAPSHOT_GOES_ON)
        migrated(qemu, progress == QEMU_SNAPSHOT_COMPLETED);
    const char *reason = json_string_value(json_object_get(data, "reason"));
    if (strcmp(name, "SHUTDOWN") == 0 && reason && strcmp(reason, "host-signal") == 0 && !qemu->fault)
        qemu->fault =
            error_new(ERROR_ABORTED, "the virtual machine was ended by a signal that somebody sent to QEMU");
}

static void monitor_failed(void *context, const struct error *reason)
{
    if (reason)
        end_with_fault(context, error_new(error_code(reason), "%s", error_message(reason)));
}

/* --- the link --- */

static void link_ready(void *context)
{
    struct qemu *qemu = context;
    if (qemu->state != STARTING)
        return;
    qemu->state = RUNNING;
    note_time(qemu, &qemu->timings.ready);
    event_del(qemu->timer);
    answer(&qemu->start, NULL);
}

static bool link_incoming(void *context, uint32_t port, struct mux_stream *stream)
{
    struct qemu *qemu = context;
    struct hv_joined joined;
    if (!qemu->events.incoming || !qemu->events.incoming(qemu->context, port, &joined))
        return false;
    mux_attach_socket(stream, joined.socket, joined.over, joined.context);
    return true;
}

static void link_failed(void *context, const struct error *reason)
{
    struct qemu *qemu = context;
    mux_free(TAKE_PTR(qemu->mux));
    if (!qemu->link_fault)
        qemu->link_fault =
            error_new(error_code(reason), "the link to the guest's agent: %s", error_message(reason));
    const struct timeval grace = {0, LINK_GRACE_MILLISECONDS * 1000};
    event_add(qemu->timer, &grace);
}

static void set_deadline(struct qemu *qemu)
{
    const struct timeval deadline = {START_DEADLINE_SECONDS, 0};
    event_add(qemu->timer, &deadline);
}

/* The console has told something since the last one. */
static bool gets_another_deadline(struct qemu *qemu)
{
    console_flush(qemu->console);
    uint64_t heard = console_received(qemu->console);

    if (++qemu->deadlines == START_DEADLINES || heard == qemu->heard)
        return false;
    qemu->heard = heard;
    set_deadline(qemu);
    return true;
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
    struct qemu *qemu = argument;
    if (qemu->link_fault) {
        end_with_fault(qemu, TAKE_PTR(qemu->link_fault));
        return;
    }
    if (gets_another_deadline(qemu))
        return;
    _cleanup_free_ char *lines = console_last_lines(qemu->console, CONSOLE_LINES_QUOTED);
    end_with_fault(
        qemu, error_new(ERROR_DEADLINE_EXCEEDED, "the guest's agent did not answer within %u s%s%s",
                  qemu->deadlines * START_DEADLINE_SECONDS, *lines ? "; its console says: " : "", lines));
}

/* --- the end --- */

static struct error *why_ended(struct qemu *qemu, int status)
{
    console_flush(qemu->console);
    console_flush(qemu->errors);
    _cleanup_free_ char *panic = console_panic(qemu->console);
    _cleanup_free_ char *console = console_last_lines(qemu->console, CONSOLE_LINES_QUOTED);
    _cleanup_free_ char *errors = console_last_lines(qemu->errors, 1);
    const struct qemu_end end = {
        .status = status,
        .errors = errors,
        .panic = panic,
        .console = console,
        .started = qemu->state != STARTING,
        .fault = qemu->fault,
    };
    if (!qemu->stopping)
        return qemu_failure(&end);
    return end.started ? NULL : error_new(ERROR_CANCELLED, "the machine was stopped while it started");
}

static void on_exited(void *context, int status)
{
    struct qemu *qemu = context;
    qemu->pid = 0;
    if (qemu->qmp)
        qmp_flush(qemu->qmp);
    _cleanup_error_ struct error *reason = why_ended(qemu, status);
    bool starting = qemu->state == STARTING;
    qemu->state = ENDED;
    event_del(qemu->timer);
    mux_free(TAKE_PTR(qemu->mux));
    qmp_free(TAKE_PTR(qemu->qmp));
    /* The owner may free the machine in any of these calls. */
    if (starting) {
        answer(&qemu->start, TAKE_PTR(reason));
        return;
    }
    bool freed = false;
    qemu->freed = &freed;
    answer(&qemu->change, error_new(ERROR_ABORTED, "the machine has ended"));
    if (!freed)
        answer(&qemu->save, error_new(ERROR_ABORTED, "the machine has ended"));
    if (!freed && qemu->disks)
        qemu_disks_machine_ended(qemu->disks, &freed);
    if (freed)
        return;
    qemu->freed = NULL;
    qemu->events.stopped(qemu->context, reason);
}

/* --- the calls of hv.h --- */

static void console_began(void *context)
{
    struct qemu *qemu = context;
    note_time(qemu, &qemu->timings.console);
}

/* Each channel has one owner from here on, whatever fails. */
static struct error *watch_channels(struct qemu *qemu, struct qemu_channels *channels)
{
    static const struct qmp_events monitor = {monitor_ready, monitor_event, monitor_failed};
    static const struct mux_events link = {link_ready, link_incoming, link_failed};
    qemu->state_fd = TAKE_FD(channels->state);
    TRY(console_new(qemu->base, TAKE_FD(channels->errors), NULL, NULL, &qemu->errors));
    TRY(console_new(qemu->base, TAKE_FD(channels->console), console_began, qemu, &qemu->console));
    TRY(qmp_new(qemu->base, TAKE_FD(channels->monitor), &monitor, qemu, &qemu->qmp));
    return mux_new(qemu->base, TAKE_FD(channels->link), true, &link, qemu, &qemu->mux);
}

static struct error *launch(struct qemu *qemu)
{
    struct qemu_channels channels;
    TRY(qemu_plan_spawn(qemu->plan, &qemu->pid, &channels));
    note_time(qemu, &qemu->timings.spawned);
    struct error *error = watch_channels(qemu, &channels);
    close_fd(channels.errors);
    close_fd(channels.console);
    close_fd(channels.monitor);
    close_fd(channels.link);
    if (error)
        return error;
    set_deadline(qemu);
    return process_watch_new(qemu->base, qemu->pid, on_exited, qemu, &qemu->watch);
}

static void kill_and_reap(struct qemu *qemu)
{
    if (qemu->pid <= 0)
        return;
    kill(qemu->pid, SIGKILL);
    while (waitpid(qemu->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    qemu->pid = 0;
}

static void on_start_failed(evutil_socket_t fd, short what, void *argument)
{
    struct qemu *qemu = argument;
    answer(&qemu->start, TAKE_PTR(qemu->fault));
}

static void qemu_start(struct hv *hv, hv_done *done, void *context)
{
    struct qemu *qemu = qemu_of(hv);
    qemu->start = (struct request){done, context};
    struct error *error = NULL;
    if (qemu->state == CREATED) {
        qemu->state = STARTING;
        qemu->began = now_microseconds();
        error = launch(qemu);
    } else {
        error = error_new(ERROR_FAILED_PRECONDITION, "the machine was started before");
    }
    if (!error)
        return;
    kill_and_reap(qemu);
    qemu->state = ENDED;
    qemu->fault = error;
    event_active(qemu->failed, EV_TIMEOUT, 1);
}

static void on_changed(void *context, struct error *error)
{
    struct qemu *qemu = context;
    if (!error)
        qemu->state = qemu->change_to;
    answer(&qemu->change, error);
}

static void change_state(
    struct qemu *qemu, enum state from, enum state to, const char *command, hv_done *done, void *context)
{
    if (qemu->state != from || qemu->change.done || !qemu->qmp) {
        done(context, error_new(ERROR_FAILED_PRECONDITION, "the machine is not %s",
                          from == RUNNING ? "running" : "paused"));
        return;
    }
    qemu->change = (struct request){done, context};
    qemu->change_to = to;
    qmp_call(qemu->qmp, command, on_changed, qemu);
}

static void qemu_pause(struct hv *hv, hv_done *done, void *context)
{
    change_state(qemu_of(hv), RUNNING, PAUSED, "stop", done, context);
}

static void qemu_resume(struct hv *hv, hv_done *done, void *context)
{
    change_state(qemu_of(hv), PAUSED, RUNNING, "cont", done, context);
}

static struct error *check_hot_disks(const struct qemu *qemu)
{
    if (!qemu->disks)
        return error_new(
            ERROR_FAILED_PRECONDITION, "the machine was made without a controller for further disks");
    if ((qemu->state != RUNNING && qemu->state != PAUSED) || !qemu->qmp)
        return error_new(ERROR_FAILED_PRECONDITION, "the machine is not running");
    return NULL;
}

static void qemu_attach_disk(struct hv *hv, const struct hv_disk *disk, hv_attached *done, void *context)
{
    struct qemu *qemu = qemu_of(hv);
    struct error *error = check_hot_disks(qemu);
    if (error)
        done(context, error, NULL);
    else
        qemu_disks_attach(qemu->disks, qemu->qmp, disk, done, context);
}

static void qemu_detach_disk(struct hv *hv, const char *address, hv_done *done, void *context)
{
    struct qemu *qemu = qemu_of(hv);
    struct error *error = check_hot_disks(qemu);
    if (error)
        done(context, error);
    else
        qemu_disks_detach(qemu->disks, qemu->qmp, address, done, context);
}

static void on_saving(void *context, struct error *error)
{
    struct qemu *qemu = context;
    if (error)
        answer(&qemu->save, error);
}

/* The agent refused the stream: it has come to where it waits for requests. */
static void agent_is_idle(void *context, bool reset)
{
    struct qemu *qemu = context;
    if (qemu->qmp)
        qemu_snapshot_begin(qemu->qmp, "migrate", qemu->state_fd, on_saving, qemu);
    close_fd(TAKE_FD(qemu->state_fd));
}

static struct error *begin_save(struct qemu *qemu, int fd)
{
    struct mux_stream *stream;
    if (!qemu->snapshot || qemu->state != RUNNING || qemu->save.done || !qemu->qmp || !qemu->mux)
        return error_new(ERROR_FAILED_PRECONDITION, "the machine is not one that can be saved now");
    _cleanup_fd_ int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return error_errno(errno, "saving the machine");
    TRY(mux_open(qemu->mux, NO_PORT, &stream));
    mux_watch(stream, agent_is_idle, qemu);
    qemu->state_fd = TAKE_FD(copy);
    return NULL;
}

static void qemu_save(struct hv *hv, int fd, hv_done *done, void *context)
{
    struct qemu *qemu = qemu_of(hv);
    struct error *error = begin_save(qemu, fd);
    if (error)
        done(context, error);
    else
        qemu->save = (struct request){done, context};
}

static uint64_t memory_address(const struct hv *hv, uint64_t offset)
{
    return qemu_memory_address(offset);
}

static struct error *open_stream(struct qemu *qemu, uint32_t port, struct mux_stream **ret_stream)
{
    if ((qemu->state != RUNNING && qemu->state != PAUSED) || !qemu->mux)
        return error_new(ERROR_FAILED_PRECONDITION, "the machine is not running");
    return mux_open(qemu->mux, port, ret_stream);
}

static struct error *qemu_connect(struct hv *hv, uint32_t port, int *ret_fd, uint32_t *ret_host_port)
{
    _cleanup_fd_ int ours = -1, theirs = -1;
    TRY(unix_pair(&ours, &theirs));
    struct mux_stream *stream;
    TRY(open_stream(qemu_of(hv), port, &stream));
    if (ret_host_port)
        *ret_host_port = mux_stream_id(stream);
    mux_attach_socket(stream, TAKE_FD(ours), NULL, NULL);
    *ret_fd = TAKE_FD(theirs);
    return NULL;
}

static struct error *qemu_join(struct hv *hv, uint32_t port, const struct hv_joined *joined)
{
    _cleanup_fd_ int socket = joined->socket;
    struct mux_stream *stream;
    TRY(open_stream(qemu_of(hv), port, &stream));
    mux_attach_socket(stream, TAKE_FD(socket), joined->over, joined->context);
    return NULL;
}

static void qemu_stop(struct hv *hv)
{
    struct qemu *qemu = qemu_of(hv);
    qemu->stopping = true;
    if (qemu->pid > 0)
        kill(qemu->pid, SIGKILL);
}

static pid_t qemu_process(const struct hv *hv)
{
    return ((const struct qemu *)hv)->pid;
}

static void qemu_timings(const struct hv *hv, struct hv_timings *ret_timings)
{
    *ret_timings = ((const struct qemu *)hv)->timings;
}

static char *qemu_console(const struct hv *hv)
{
    const struct qemu *qemu = (const struct qemu *)hv;
    return qemu->console ? console_text(qemu->console) : must_copy("");
}

static void qemu_destroy(struct hv *hv)
{
    struct qemu *qemu = qemu_of(hv);
    if (qemu->freed)
        *qemu->freed = true;
    process_watch_free(qemu->watch);
    kill_and_reap(qemu);
    mux_free(qemu->mux);
    qmp_free(qemu->qmp);
    qemu_disks_free(qemu->disks);
    console_free(qemu->console);
    console_free(qemu->errors);
    qemu_plan_free(qemu->plan);
    for (size_t i = 0; i < qemu->relay_count; i++)
        relay_free(qemu->relays[i]);
    free(qemu->relays);
    if (qemu->timer)
        event_free(qemu->timer);
    if (qemu->failed)
        event_free(qemu->failed);
    error_free(qemu->fault);
    error_free(qemu->link_fault);
    close_fd(qemu->state_fd);
    free(qemu);
}

static struct error *make_relays(struct qemu *qemu, const struct hv_config *config)
{
    const struct hv_network *network = &config->network;
    if (network->kind != HV_NETWORK_USER)
        return NULL;
    char target[RELAY_ADDRESS_SIZE];
    relay_address(config->name, target);
    qemu->relays = must_alloc_array(network->port_count + 1, sizeof(*qemu->relays));
    for (size_t i = 0; i < network->port_count; i++) {
        const struct hv_port *port = &network->ports[i];
        if (!relay_is_needed(port->host_address))
            continue;
        TRY(relay_new(
            qemu->base, port->host_address, port->host_port, target, &qemu->relays[qemu->relay_count]));
        qemu->relay_count++;
    }
    return NULL;
}

static struct error *create(const struct hv_ops *ops, struct event_base *base, const struct hv_config *config,
    const struct hv_events *events, void *context, struct hv **ret_hv)
{
    struct qemu *qemu = must_new(struct qemu);
    qemu->hv.ops = ops;
    qemu->base = base;
    qemu->events = *events;
    qemu->context = context;
    qemu->state_fd = -1;
    qemu->snapshot = config->snapshot != NULL;
    qemu->timer = event_new(base, -1, 0, on_timer, qemu);
    qemu->failed = event_new(base, -1, 0, on_start_failed, qemu);
    if (config->hot_disks)
        qemu->disks = qemu_disks_new();
    struct error *error = qemu_plan_new(config, ops == &qemu_kvm_ops, &qemu->plan);
    if (!error)
        error = make_relays(qemu, config);
    if (!error && (!qemu->timer || !qemu->failed))
        error = error_new(ERROR_INTERNAL, "the event loop refused a timer");
    if (error) {
        qemu_destroy(&qemu->hv);
        return error;
    }
    *ret_hv = &qemu->hv;
    return NULL;
}

static struct error *create_tcg(struct event_base *base, const struct hv_config *config,
    const struct hv_events *events, void *context, struct hv **ret_hv)
{
    return create(&qemu_tcg_ops, base, config, events, context, ret_hv);
}

static struct error *create_kvm(struct event_base *base, const struct hv_config *config,
    const struct hv_events *events, void *context, struct hv **ret_hv)
{
    return create(&qemu_kvm_ops, base, config, events, context, ret_hv);
}

/* The two differ in the accelerator that `create` asks for, and in what further processors cost. */
#define QEMU_OPS(its_name, its_create, its_identity, more)                                          \
    {                                                                                               \
        .name = its_name,                                                                           \
        .capabilities = HV_PAUSE | HV_SHARE | HV_USER_NETWORK | HV_ATTACH_DISK | HV_GROW | HV_TAP | \
                        HV_SNAPSHOT | (more),                                                       \
        .room = qemu_room, .create = its_create, .start = qemu_start, .pause = qemu_pause,          \
        .resume = qemu_resume, .attach_disk = qemu_attach_disk, .detach_disk = qemu_detach_disk,    \
        .identity = its_identity, .save = qemu_save, .memory_address = memory_address,              \
        .connect = qemu_connect, .join = qemu_join, .stop = qemu_stop, .process = qemu_process,     \
        .timings = qemu_timings, .console = qemu_console, .destroy = qemu_destroy,                  \
    }

const struct hv_ops qemu_tcg_ops = QEMU_OPS("qemu-tcg", create_tcg, qemu_identity_tcg, 0);
const struct hv_ops qemu_kvm_ops = QEMU_OPS("qemu-kvm", create_kvm, qemu_identity_kvm, HV_IDLE_VCPUS);
