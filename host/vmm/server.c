/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/server.h"

#include "base/fd.h"
#include "base/log.h"
#include "vmm/control.h"
#include "vmm/jail.h"
#include "vmm/machine.h"
#include "vmm/virtio/balloon.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/console.h"
#include "vmm/virtio/fs.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/rng.h"

#include <inttypes.h>
#include <string.h>

/* What guest/agent looks for. */
#define LINK_NAME "caisson.link.0"

enum phase {
    PHASE_NEW = 1u << 0,        /* no machine yet */
    PHASE_CONFIGURED = 1u << 1, /* it gets its devices */
    PHASE_STARTED = 1u << 2,
    PHASE_OVER = 1u << 3, /* it could not be started */
};

struct server {
    struct event_base *base;
    int socket;
    struct event *readable;
    struct error *failure;

    enum phase phase;
    struct machine *machine;
    int kvm;                     /* for the machine */
    int kernel, initrd, console; /* for the start */
    char *command_line;
    char *text; /* of the answer that is being made, or NULL */
};

/* --- one call a request; descriptors that are taken out of the message are replaced by -1 --- */

static void on_ended(void *context, const struct error *reason)
{
    struct server *server = context;
    struct control_message event = {.type = CONTROL_STOPPED, .fds = {-1, -1}};
    if (reason)
        snprintf(event.text, sizeof(event.text), "%s", error_message(reason));
    error_free(control_send(server->socket, &event));
    event_base_loopbreak(server->base);
}

static void on_device_failed(void *context, const char *device, const struct error *reason)
{
    log_warning("the guest's %s device is stopped: %s", device, error_message(reason));
}

static struct error *confine_processor(void)
{
    return jail_confine(JAIL_VCPU);
}

/* A thread that cannot be confined must not go on. */
static void confine_worker(void)
{
    _cleanup_error_ struct error *error = jail_confine(JAIL_WORKER);
    if (!error)
        return;
    log_error("%s", error_message(error));
    abort();
}

static struct error *make_machine(struct server *server, struct control_message *message)
{
    static const struct machine_events events = {on_ended, on_device_failed};
    const struct machine_config config = {
        .memory = message->machine.memory,
        .shared = message->machine.flags & CONTROL_SHARED,
        .processors = message->machine.processors,
        .confine_processor = confine_processor,
        .confine_worker = confine_worker,
    };
    TRY(machine_new(server->base, TAKE_FD(server->kvm), &config, &events, server, &server->machine));
    server->kernel = TAKE_FD(message->fds[0]);
    server->initrd = TAKE_FD(message->fds[1]);
    server->command_line = must_copy(message->text);
    server->phase = PHASE_CONFIGURED;
    return NULL;
}

static struct error *add_disk(struct server *server, struct control_message *message)
{
    const struct blk_options options = {
        .fd = TAKE_FD(message->fds[0]),
        .read_only = message->disk.flags & CONTROL_READ_ONLY,
        .durable = message->disk.flags & CONTROL_DURABLE,
    };
    struct worker_pool *workers;
    struct virtio_device *device;
    struct error *error = machine_workers(server->machine, &workers);
    if (error) {
        close_fd(options.fd);
        return error;
    }
    TRY(blk_new(machine_bus(server->machine), workers, &options, &device));
    return machine_add_device(server->machine, device);
}

static struct error *add_nic(struct server *server, struct control_message *message)
{
    struct net_options options = {.tap = TAKE_FD(message->fds[0])};
    struct virtio_device *device;
    memcpy(options.mac, message->nic.mac, sizeof(options.mac));
    TRY(net_new(machine_bus(server->machine), &options, &device));
    return machine_add_device(server->machine, device);
}

static struct error *add_share(struct server *server, struct control_message *message)
{
    struct virtio_device *device;
    _cleanup_free_ char *tag =
        must_copy_length(message->share.tag, strnlen(message->share.tag, CONTROL_TAG_SIZE));
    TRY(fs_new(machine_bus(server->machine), TAKE_FD(message->fds[0]), tag, &device));
    return machine_add_device(server->machine, device);
}

static struct error *add_link(struct server *server, struct control_message *message)
{
    struct virtio_device *device;
    TRY(console_new(machine_bus(server->machine), TAKE_FD(message->fds[0]), LINK_NAME, &device));
    return machine_add_device(server->machine, device);
}

/* The guest's processors never wait for who reads it. */
static struct error *take_console(struct server *server, struct control_message *message)
{
    TRY(fd_set_nonblocking(message->fds[0], true));
    close_fd(server->console);
    server->console = TAKE_FD(message->fds[0]);
    return NULL;
}

/* What every machine has. */
static struct error *add_common_devices(struct server *server)
{
    struct virtio_bus *bus = machine_bus(server->machine);
    TRY(machine_add_device(server->machine, rng_new(bus)));
    return machine_add_device(server->machine, balloon_new(bus, true));
}

static struct error *start(struct server *server, struct control_message *message)
{
    server->phase = PHASE_OVER;
    TRY(add_common_devices(server));
    const struct machine_start start = {
        .kernel = server->kernel,
        .initrd = server->initrd,
        .command_line = server->command_line,
        .console = server->console,
    };
    TRY(machine_start(server->machine, &start));
    close_fd(TAKE_FD(server->kernel));
    close_fd(TAKE_FD(server->initrd));
    TRY(jail_confine(JAIL_MAIN));
    machine_resume(server->machine);
    server->phase = PHASE_STARTED;
    return NULL;
}

static struct error *pause_machine(struct server *server, struct control_message *message)
{
    machine_pause(server->machine);
    return NULL;
}

static struct error *resume_machine(struct server *server, struct control_message *message)
{
    machine_resume(server->machine);
    return NULL;
}

static struct error *stop(struct server *server, struct control_message *message)
{
    event_base_loopbreak(server->base);
    return NULL;
}

static struct error *count_exits(struct server *server, struct control_message *message)
{
    for (enum vcpu_exit kind = 0; kind < VCPU_EXIT_KINDS; kind++) {
        char *longer = must_printf("%s%s %" PRIu64 "\n", server->text ? server->text : "",
            vcpu_exit_name(kind), machine_exits(server->machine, kind));
        free(server->text);
        server->text = longer;
    }
    return NULL;
}

/* --- the channel --- */

static struct error *obey(struct server *server, struct control_message *message)
{
    static const struct {
        unsigned phases;
        struct error *(*call)(struct server *server, struct control_message *message);
    } commands[] = {
        [CONTROL_MACHINE] = {PHASE_NEW, make_machine},
        [CONTROL_DISK] = {PHASE_CONFIGURED, add_disk},
        [CONTROL_NIC] = {PHASE_CONFIGURED, add_nic},
        [CONTROL_SHARE] = {PHASE_CONFIGURED, add_share},
        [CONTROL_LINK] = {PHASE_CONFIGURED, add_link},
        [CONTROL_CONSOLE] = {PHASE_CONFIGURED, take_console},
        [CONTROL_START] = {PHASE_CONFIGURED, start},
        [CONTROL_PAUSE] = {PHASE_STARTED, pause_machine},
        [CONTROL_RESUME] = {PHASE_STARTED, resume_machine},
        [CONTROL_COUNT_EXITS] = {PHASE_STARTED, count_exits},
        [CONTROL_STOP] = {PHASE_NEW | PHASE_CONFIGURED | PHASE_STARTED | PHASE_OVER, stop},
    };
    if (message->type >= ARRAY_SIZE(commands) || !commands[message->type].call)
        return error_new(ERROR_UNIMPLEMENTED, "the monitor has no request %u", message->type);
    if (!(commands[message->type].phases & server->phase))
        return error_new(ERROR_FAILED_PRECONDITION,
            "request %u cannot come in this phase of the machine; see docs/vmm.md", message->type);
    return commands[message->type].call(server, message);
}

static struct error *answer(struct server *server, uint32_t sequence, const struct error *outcome)
{
    struct control_message answer;
    control_answer_set(&answer, sequence, outcome);
    if (!outcome && server->text)
        snprintf(answer.text, sizeof(answer.text), "%s", server->text);
    free(TAKE_PTR(server->text));
    return control_send(server->socket, &answer);
}

static struct error *serve(struct server *server)
{
    struct control_message message;
    TRY(control_receive(server->socket, CONTROL_MONITOR, &message));
    if (message.type == CONTROL_CLOSED) {
        event_base_loopbreak(server->base);
        return NULL;
    }
    _cleanup_error_ struct error *outcome = obey(server, &message);
    struct error *error = answer(server, message.sequence, outcome);
    control_message_clear(&message);
    return error;
}

/* What does not belong on the channel ends the machine: its owner is not what it should be. */
static void on_readable(evutil_socket_t fd, short what, void *context)
{
    struct server *server = context;
    struct error *error = serve(server);
    if (error_number(error) == EAGAIN) {
        error_free(error);
    } else if (error) {
        server->failure = error;
        event_base_loopbreak(server->base);
    }
}

static struct error *watch_channel(struct server *server)
{
    TRY(fd_set_nonblocking(server->socket, true));
    server->readable = event_new(server->base, server->socket, EV_READ | EV_PERSIST, on_readable, server);
    if (!server->readable || event_add(server->readable, NULL) < 0)
        return error_new(ERROR_INTERNAL, "cannot watch the control channel");
    return NULL;
}

struct error *server_new(struct event_base *base, int socket, int kvm, struct server **ret_server)
{
    _cleanup_(server_free) struct server *server = must_new(struct server);
    *server = (struct server){.base = base, .socket = socket, .kvm = kvm};
    server->phase = PHASE_NEW;
    server->kernel = server->initrd = server->console = -1;
    TRY(watch_channel(server));
    *ret_server = TAKE_PTR(server);
    return NULL;
}

struct error *server_run(struct server *server)
{
    event_base_dispatch(server->base);
    return TAKE_PTR(server->failure);
}

void server_free(struct server *server)
{
    if (!server)
        return;
    machine_free(server->machine);
    if (server->readable)
        event_free(server->readable);
    close_fd(server->socket);
    close_fd(server->kvm);
    close_fd(server->kernel);
    close_fd(server->initrd);
    close_fd(server->console);
    error_free(server->failure);
    free(server->command_line);
    free(server->text);
    free(server);
}
