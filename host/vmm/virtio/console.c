/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux makes /dev/hvc of a console's port 0 and /dev/vport of the others, so ours is port 1; port 0 has
 * queues and nothing else. The two sides tell each other of ports through a pair of control queues (virtio
 * 1.2, section 5.3.6): the driver says that it is ready, we add the port, the driver says that the port is
 * ready, we name it and say that it is open, and the driver tells us when a program opens and closes it.
 *
 * What we have to say is a set of messages, not a list: however often the guest asks, it takes no memory.
 */
#include "vmm/virtio/console.h"

#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <string.h>
#include <sys/socket.h>

#define PORT 1u

enum { PORT0_RECEIVE, PORT0_TRANSMIT, CONTROL_RECEIVE, CONTROL_TRANSMIT, RECEIVE, TRANSMIT, QUEUES };

enum message { ADD_PORT = 1 << 0, NAME_PORT = 1 << 1, OPEN_PORT = 1 << 2 };

struct console {
    struct virtio_device device;
    struct virtio_console_config config;
    char name[CONSOLE_NAME_MAX + 1];
    int socket;
    struct virtio_watch *readable, *writable;
    bool host_open, guest_open;
    unsigned unsaid; /* set of enum message */

    bool sending; /* `chain` came from the guest and is not yet all in the socket */
    size_t sent;
    struct virtqueue_chain chain;
};

static struct console *console_of(struct virtio_device *device)
{
    return (struct console *)device;
}

/* The message in its wire form; the name follows its header without a NUL. */
static size_t write_message(
    struct console *console, enum message message, const struct virtqueue_chain *chain)
{
    struct virtio_console_control control = {.id = PORT, .value = 1};
    size_t more = 0;
    switch (message) {
    case ADD_PORT:
        control.event = VIRTIO_CONSOLE_PORT_ADD;
        break;
    case NAME_PORT:
        control.event = VIRTIO_CONSOLE_PORT_NAME;
        more = strlen(console->name);
        break;
    case OPEN_PORT:
        control.event = VIRTIO_CONSOLE_PORT_OPEN;
        control.value = console->host_open;
        break;
    }
    size_t written = chain_write(chain, 0, &control, sizeof(control));
    return written + chain_write(chain, written, console->name, more);
}

static void say(struct console *console, unsigned more)
{
    struct virtio_device *device = &console->device;
    struct virtqueue_chain chain;
    console->unsaid |= more;
    while (console->unsaid && virtio_device_next(device, CONTROL_RECEIVE, &chain)) {
        enum message first = console->unsaid & -console->unsaid;
        console->unsaid &= ~first;
        virtqueue_push(
            &device->queues[CONTROL_RECEIVE], chain.head, (uint32_t)write_message(console, first, &chain));
    }
    virtio_device_publish(device, CONTROL_RECEIVE);
}

static void close_host_side(struct console *console)
{
    console->host_open = false;
    virtio_watch_enable(console->readable, false);
    virtio_watch_enable(console->writable, false);
    say(console, OPEN_PORT);
}

/* One read into the next buffer of the guest; false: there is no buffer, or no more to read now. */
static bool receive_some(struct console *console)
{
    struct virtio_device *device = &console->device;
    struct virtqueue_chain chain;
    if (!virtio_device_next(device, RECEIVE, &chain)) {
        virtio_watch_enable(console->readable, false);
        return false;
    }
    if (chain.writable_bytes == 0) {
        virtio_device_fail(device, error_new(ERROR_INVALID_ARGUMENT, "a buffer without room for input"));
        return false;
    }
    struct msghdr message = {.msg_iov = chain.writable, .msg_iovlen = chain.writable_count};
    ssize_t got = recvmsg(console->socket, &message, MSG_DONTWAIT);
    if (got <= 0) {
        virtqueue_unpop(&device->queues[RECEIVE], 1);
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            close_host_side(console);
        return false;
    }
    virtqueue_push(&device->queues[RECEIVE], chain.head, (uint32_t)got);
    return (size_t)got == chain.writable_bytes;
}

static void on_readable(void *context)
{
    struct console *console = context;
    if (!console->guest_open || !console->host_open) {
        virtio_watch_enable(console->readable, false);
        return;
    }
    while (receive_some(console)) {
    }
    virtio_device_publish(&console->device, RECEIVE);
}

/* Writes the rest of the chain; false: the socket is full. What nobody reads any more is dropped. */
static bool send_some(struct console *console)
{
    struct iovec parts[VIRTQUEUE_SIZE_MAX];
    struct msghdr message = {.msg_iov = parts};
    while (console->host_open && console->sent < console->chain.readable_bytes) {
        message.msg_iovlen =
            iovec_slice(console->chain.vector, console->chain.readable_count, console->sent, SIZE_MAX, parts);
        ssize_t sent = sendmsg(console->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return false;
        if (sent < 0 && errno != EINTR)
            close_host_side(console);
        console->sent += sent < 0 ? 0 : (size_t)sent;
    }
    return true;
}

static void transmit(struct console *console)
{
    struct virtio_device *device = &console->device;
    while (console->sending || virtio_device_next(device, TRANSMIT, &console->chain)) {
        console->sending = true;
        if (!send_some(console))
            break;
        virtqueue_push(&device->queues[TRANSMIT], console->chain.head, 0);
        console->sending = false;
        console->sent = 0;
    }
    virtio_watch_enable(console->writable, console->sending);
    virtio_device_publish(device, TRANSMIT);
}

static void on_writable(void *context)
{
    transmit(context);
}

static void take_message(struct console *console, const struct virtio_console_control *control)
{
    if (control->event == VIRTIO_CONSOLE_DEVICE_READY && control->value == 1) {
        say(console, ADD_PORT);
        return;
    }
    if (control->id != PORT)
        return;
    if (control->event == VIRTIO_CONSOLE_PORT_READY && control->value == 1)
        say(console, NAME_PORT | OPEN_PORT);
    if (control->event == VIRTIO_CONSOLE_PORT_OPEN) {
        console->guest_open = control->value;
        virtio_watch_enable(console->readable, console->guest_open && console->host_open);
    }
}

static void take_messages(struct console *console)
{
    struct virtio_device *device = &console->device;
    struct virtqueue_chain chain;
    while (virtio_device_next(device, CONTROL_TRANSMIT, &chain)) {
        struct virtio_console_control control;
        if (chain_read(&chain, 0, &control, sizeof(control)) < sizeof(control)) {
            virtio_device_fail(device,
                error_new(ERROR_INVALID_ARGUMENT, "a control message of %zu bytes", chain.readable_bytes));
            return;
        }
        take_message(console, &control);
        virtqueue_push(&device->queues[CONTROL_TRANSMIT], chain.head, 0);
    }
    virtio_device_publish(device, CONTROL_TRANSMIT);
}

static void console_notify(struct virtio_device *device, unsigned queue)
{
    struct console *console = console_of(device);
    if (queue == CONTROL_TRANSMIT)
        take_messages(console);
    else if (queue == CONTROL_RECEIVE)
        say(console, 0);
    else if (queue == TRANSMIT)
        transmit(console);
    else if (queue == RECEIVE)
        virtio_watch_enable(console->readable, console->guest_open && console->host_open);
}

static void console_reset(struct virtio_device *device)
{
    struct console *console = console_of(device);
    console->guest_open = console->sending = false;
    console->unsaid = 0;
    console->sent = 0;
}

static void console_free(struct virtio_device *device)
{
    struct console *console = console_of(device);
    virtio_watch_free(console->readable);
    virtio_watch_free(console->writable);
    close_fd(console->socket);
    free(console);
}

static const struct virtio_device_ops console_ops = {.name = "console",
    .id = VIRTIO_ID_CONSOLE,
    .notify = console_notify,
    .reset = console_reset,
    .free = console_free};

struct error *console_new(
    struct virtio_bus *bus, int socket, const char *port_name, struct virtio_device **ret_device)
{
    struct console *console = must_new(struct console);
    _cleanup_(virtio_device_free) struct virtio_device *device = &console->device;
    *console = (struct console){.device = {.ops = &console_ops,
                                    .bus = bus,
                                    .features = UINT64_C(1) << VIRTIO_CONSOLE_F_MULTIPORT,
                                    .queue_count = QUEUES,
                                    .config = &console->config,
                                    .config_size = sizeof(console->config)},
        .config = {.max_nr_ports = PORT + 1},
        .socket = socket,
        .host_open = true};
    if (strlen(port_name) > CONSOLE_NAME_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "the port's name is too long: %s", port_name);
    memcpy(console->name, port_name, strlen(port_name));
    TRY(virtio_watch_new(bus, socket, EV_READ, on_readable, console, &console->readable));
    TRY(virtio_watch_new(bus, socket, EV_WRITE, on_writable, console, &console->writable));
    *ret_device = TAKE_PTR(device);
    return NULL;
}
