/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine.h"

#include "vmm/mptable.h"
#include "vmm/serial.h"
#include "vmm/virtio/mmio.h"

#include <string.h>
#include <sys/eventfd.h>

#define DEVICES_ADDRESS UINT64_C(0xd0000000)
#define DEVICES_GSI 5u

/* Of the keyboard controller (8042): pulses its output lines, of which line 0 resets the machine. */
#define KEYBOARD_PORT 0x64
#define KEYBOARD_RESET 0xfe

/* Threads that wait for disks. */
#define WORKERS 2

struct slot {
    struct virtio_device *device;
    struct virtio_mmio *mmio;
    int interrupt; /* eventfd */
};

struct machine {
    const struct machine_events *events;
    void *context;
    struct guest_memory *memory;
    struct kvm *kvm;
    struct virtio_bus *bus;
    struct slot slots[MACHINE_DEVICES_MAX];
    unsigned slot_count;
    struct worker_pool *workers; /* from the first disk on */
    struct error *(*confine_processor)(void);
    void (*confine_worker)(void);

    pthread_mutex_t ports; /* the serial port's lock */
    struct serial *serial;
    int serial_interrupt;

    struct vcpu *vcpus[MPTABLE_PROCESSORS_MAX];
    unsigned vcpu_count; /* wanted, and made once it has started */
    bool running;

    pthread_mutex_t end_lock; /* who ends it first says why */
    bool has_ended;
    struct error *end_reason;
    int end_fd; /* eventfd that wakes the event loop */
    struct event *end_event;
};

/* --- in the processors' threads --- */

static void on_ended(void *context, enum vcpu_end end, struct error *reason)
{
    struct machine *machine = context;
    pthread_mutex_lock(&machine->end_lock);
    bool first = !machine->has_ended;
    machine->has_ended = true;
    if (first)
        machine->end_reason = TAKE_PTR(reason);
    pthread_mutex_unlock(&machine->end_lock);
    error_free(reason);
    if (first)
        (void)eventfd_write(machine->end_fd, 1);
}

static void access_serial(struct machine *machine, unsigned offset, uint8_t *data, bool is_write)
{
    pthread_mutex_lock(&machine->ports);
    if (is_write)
        serial_write(machine->serial, offset, *data);
    else
        *data = serial_read(machine->serial, offset);
    pthread_mutex_unlock(&machine->ports);
}

/* Both devices are a byte wide; what else an access covers is not there. */
static void on_port(void *context, uint16_t port, void *data, unsigned size, bool is_write)
{
    struct machine *machine = context;
    uint8_t *byte = data;
    if (port >= SERIAL_PORT && port < SERIAL_PORT + SERIAL_PORT_COUNT)
        access_serial(machine, port - SERIAL_PORT, byte, is_write);
    else if (port == KEYBOARD_PORT && !is_write)
        *byte = 0; /* it is never busy */
    else if (port == KEYBOARD_PORT && *byte == KEYBOARD_RESET)
        on_ended(machine, VCPU_END_RESET, NULL);
}

static void on_device(void *context, uint64_t address, void *data, unsigned size, bool is_write)
{
    const struct machine *machine = context;
    uint64_t offset = address - DEVICES_ADDRESS;
    uint64_t index = offset / VIRTIO_MMIO_SIZE;
    if (address < DEVICES_ADDRESS || index >= machine->slot_count)
        return;
    virtio_mmio_access(machine->slots[index].mmio, offset % VIRTIO_MMIO_SIZE, data, size, is_write);
}

static struct error *on_confine(void *context)
{
    const struct machine *machine = context;
    return machine->confine_processor ? machine->confine_processor() : NULL;
}

static const struct vcpu_owner vcpu_owner = {on_port, on_device, on_confine, on_ended};

/* --- in the I/O thread --- */

static void on_end_event(evutil_socket_t fd, short what, void *context)
{
    struct machine *machine = context;
    machine_pause(machine);
    pthread_mutex_lock(&machine->ports);
    serial_flush(machine->serial);
    pthread_mutex_unlock(&machine->ports);
    machine->events->ended(machine->context, machine->end_reason);
}

static struct error *make_memory(struct machine *machine, const struct machine_config *config)
{
    TRY(guest_memory_new(config->memory, config->shared, &machine->memory));
    for (unsigned i = 0; i < machine->memory->region_count; i++) {
        const struct guest_region *region = &machine->memory->regions[i];
        TRY(kvm_add_memory(machine->kvm, region->address, region->size, region->host));
    }
    return NULL;
}

static struct error *make_eventfd(int *ret_fd)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return error_errno(errno, "making an eventfd");
    *ret_fd = fd;
    return NULL;
}

static struct error *make_board(struct machine *machine, struct event_base *base)
{
    TRY(kvm_create_interrupt_controllers(machine->kvm));
    TRY(make_eventfd(&machine->serial_interrupt));
    TRY(kvm_bind_interrupt(machine->kvm, SERIAL_GSI, machine->serial_interrupt));
    TRY(make_eventfd(&machine->end_fd));
    machine->end_event = event_new(base, machine->end_fd, EV_READ, on_end_event, machine);
    if (!machine->end_event || event_add(machine->end_event, NULL) < 0)
        return error_new(ERROR_INTERNAL, "cannot watch for the machine's end");
    return NULL;
}

static struct error *check_config(const struct machine_config *config)
{
    if (config->processors < 1 || config->processors > MPTABLE_PROCESSORS_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "%u processors for the machine: it must be between 1 and %u",
            config->processors, MPTABLE_PROCESSORS_MAX);
    return NULL;
}

struct error *machine_new(struct event_base *base, int kvm, const struct machine_config *config,
    const struct machine_events *events, void *context, struct machine **ret_machine)
{
    _cleanup_fd_ int system = kvm;
    TRY(check_config(config));
    _cleanup_(machine_free) struct machine *machine = must_new(struct machine);
    machine->events = events;
    machine->context = context;
    machine->serial_interrupt = machine->end_fd = -1;
    machine->vcpu_count = config->processors;
    machine->confine_processor = config->confine_processor;
    machine->confine_worker = config->confine_worker;
    pthread_mutex_init(&machine->ports, NULL);
    pthread_mutex_init(&machine->end_lock, NULL);
    TRY(kvm_new(TAKE_FD(system), &machine->kvm));
    TRY(make_memory(machine, config));
    TRY(make_board(machine, base));
    machine->bus = virtio_bus_new(base, machine->memory, events->device_failed, context);
    *ret_machine = TAKE_PTR(machine);
    return NULL;
}

struct virtio_bus *machine_bus(const struct machine *machine)
{
    return machine->bus;
}

struct guest_memory *machine_memory(const struct machine *machine)
{
    return machine->memory;
}

struct error *machine_workers(struct machine *machine, struct worker_pool **ret_workers)
{
    if (!machine->workers)
        TRY(worker_pool_new(machine->bus, WORKERS, machine->confine_worker, &machine->workers));
    *ret_workers = machine->workers;
    return NULL;
}

static struct error *bind_slot(const struct machine *machine, unsigned index)
{
    const struct slot *slot = &machine->slots[index];
    uint64_t notify = DEVICES_ADDRESS + index * VIRTIO_MMIO_SIZE + VIRTIO_MMIO_NOTIFY;
    TRY(kvm_bind_interrupt(machine->kvm, DEVICES_GSI + index, slot->interrupt));
    for (unsigned queue = 0; queue < virtio_mmio_queue_count(slot->mmio); queue++)
        TRY(kvm_bind_notification(machine->kvm, notify, queue, virtio_mmio_notify_fd(slot->mmio, queue)));
    return NULL;
}

struct error *machine_add_device(struct machine *machine, struct virtio_device *device)
{
    _cleanup_(virtio_device_free) struct virtio_device *owned = device;
    if (machine->slot_count == MACHINE_DEVICES_MAX)
        return error_new(ERROR_RESOURCE_EXHAUSTED, "the machine can have %u devices", MACHINE_DEVICES_MAX);
    struct slot *slot = &machine->slots[machine->slot_count];
    TRY(make_eventfd(&slot->interrupt));
    struct error *error = virtio_mmio_new(device, slot->interrupt, &slot->mmio);
    if (error) {
        close_fd(slot->interrupt);
        return error;
    }
    slot->device = TAKE_PTR(owned);
    return bind_slot(machine, machine->slot_count++);
}

/* The guest's kernel looks for no devices that its command line does not name (VIRTIO_MMIO_CMDLINE_DEVICES).
 */
static char *complete_command_line(const struct machine *machine, const char *text)
{
    char *line = must_copy(text);
    for (unsigned i = 0; i < machine->slot_count; i++) {
        char *longer = must_printf("%s virtio_mmio.device=0x%x@0x%llx:%u", line, VIRTIO_MMIO_SIZE,
            (unsigned long long)(DEVICES_ADDRESS + i * VIRTIO_MMIO_SIZE), DEVICES_GSI + i);
        free(line);
        line = longer;
    }
    return line;
}

static struct error *make_processors(struct machine *machine, const struct boot_entry *entry)
{
    for (unsigned i = 0; i < machine->vcpu_count; i++)
        TRY(vcpu_new(machine->kvm, i, machine->vcpu_count, &vcpu_owner, machine, &machine->vcpus[i]));
    return vcpu_enter(machine->vcpus[0], entry);
}

struct error *machine_start(struct machine *machine, const struct machine_start *start)
{
    if (machine->serial)
        return error_new(ERROR_FAILED_PRECONDITION, "the machine was started before");
    _cleanup_free_ char *line = complete_command_line(machine, start->command_line);
    const struct boot_request request = {
        .kernel = start->kernel,
        .initrd = start->initrd,
        .command_line = line,
        .processors = machine->vcpu_count,
    };
    struct boot_entry entry;
    machine->serial = serial_new(start->console, machine->serial_interrupt);
    TRY(boot_load(machine->memory, &request, &entry));
    return make_processors(machine, &entry);
}

void machine_resume(struct machine *machine)
{
    if (machine->running || machine->has_ended)
        return;
    machine->running = true;
    virtio_bus_resume(machine->bus);
    for (unsigned i = 0; i < machine->vcpu_count; i++)
        vcpu_resume(machine->vcpus[i]);
}

/* Processors first: what they began at a device is finished, then what disks have under way, and then all
   rest. */
void machine_pause(struct machine *machine)
{
    if (!machine->running)
        return;
    machine->running = false;
    for (unsigned i = 0; i < machine->vcpu_count; i++)
        vcpu_pause(machine->vcpus[i]);
    for (unsigned i = 0; i < machine->vcpu_count; i++)
        vcpu_wait_paused(machine->vcpus[i]);
    if (machine->workers)
        worker_settle(machine->workers);
    virtio_bus_pause(machine->bus);
}

uint64_t machine_exits(const struct machine *machine, enum vcpu_exit kind)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < machine->vcpu_count && machine->vcpus[i]; i++)
        total += vcpu_exits(machine->vcpus[i], kind);
    return total;
}

void machine_free(struct machine *machine)
{
    if (!machine)
        return;
    for (unsigned i = 0; i < machine->vcpu_count; i++)
        vcpu_free(machine->vcpus[i]);
    for (unsigned i = 0; i < machine->slot_count; i++) {
        virtio_mmio_free(machine->slots[i].mmio);
        virtio_device_free(machine->slots[i].device);
        close_fd(machine->slots[i].interrupt);
    }
    worker_pool_free(machine->workers);
    virtio_bus_free(machine->bus);
    if (machine->end_event)
        event_free(machine->end_event);
    close_fd(machine->end_fd);
    serial_free(machine->serial);
    close_fd(machine->serial_interrupt);
    kvm_free(machine->kvm);
    guest_memory_free(machine->memory);
    error_free(machine->end_reason);
    pthread_mutex_destroy(&machine->end_lock);
    pthread_mutex_destroy(&machine->ports);
    free(machine);
}
