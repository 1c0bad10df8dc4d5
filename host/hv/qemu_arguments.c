/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/qemu_arguments.h"

#include "base/strv.h"
#include "hv/qemu_disks.h"
#include "hv/relay.h"
#include "hv/size.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)
#define MEMORY_LEAST (48 * MIB)
#define MEMORY_MOST (UINT64_C(1) << 40)
#define VCPUS_MOST 32

/*
 * Translated code of TCG. QEMU's default is an eighth of the host's memory, which a long-lived guest fills
 * and never gives back; when this is full, it starts afresh. A boot makes 22 MiB: with 16 it takes a tenth
 * longer.
 */
#define TRANSLATION_MIB 32

/* A microvm's transports without ACPI: VIRTIO_MMIO_BASE and so on of QEMU's include/hw/i386/microvm.h. */
#define TRANSPORT_BASE 0xfeb00000u
#define TRANSPORT_SIZE 512u
#define TRANSPORT_IRQ 5u

/* Devices that every machine has: the link's virtio-serial and the balloon. */
#define DEVICES_ALWAYS 2

static size_t count_devices(const struct hv_config *config)
{
    return DEVICES_ALWAYS + config->disk_count + config->share_count + (config->hot_disks ? 1 : 0) +
           (config->network.kind == HV_NETWORK_NONE ? 0 : 1) + config->network.nic_count;
}

size_t qemu_room(const struct hv_config *config)
{
    size_t count = count_devices(config);
    return count < QEMU_SLOTS ? QEMU_SLOTS - count : 0;
}

uint64_t qemu_memory_address(uint64_t offset)
{
    return offset < 3 * GIB ? offset : offset + GIB;
}

/*
 * Whether the guest's memory is a file. A file server reads and writes it itself, so both must be able to map
 * it. And what a machine may grow to can be all that the host has: of a file the kernel counts only what is
 * touched, while it promises nobody that much anonymous memory. (QEMU can ask for memory without a promise,
 * but not from inside the jail, where it cannot read how the kernel is set.)
 */
static bool has_file(const struct hv_config *config)
{
    return config->share_count > 0 || memory_grows(config);
}

static struct error *check_port(const struct hv_port *port)
{
    struct in6_addr parsed;
    if (!port->host_address || inet_pton(AF_INET, port->host_address, &parsed) == 1)
        return NULL;
    if (inet_pton(AF_INET6, port->host_address, &parsed) != 1)
        return error_new(
            ERROR_INVALID_ARGUMENT, "publishing a port on %s: not an address", port->host_address);
    if (port->udp)
        return error_new(ERROR_INVALID_ARGUMENT,
            "publishing a UDP port on %s: QEMU's user network publishes those on IPv4 addresses only",
            port->host_address);
    return NULL;
}

struct error *qemu_check_config(const struct hv_config *config)
{
    if (!config->name || !config->kernel || !config->initrd)
        return error_new(ERROR_INVALID_ARGUMENT, "a machine needs a name, a kernel and an initrd");
    if (config->memory < MEMORY_LEAST || config->memory > MEMORY_MOST)
        return error_new(ERROR_INVALID_ARGUMENT,
            "%" PRIu64 " MiB of memory for the machine: it must be between %" PRIu64 " and %" PRIu64 " MiB",
            config->memory / MIB, MEMORY_LEAST / MIB, MEMORY_MOST / MIB);
    if (memory_grows(config) && config->memory_max > MEMORY_MOST)
        return error_new(ERROR_INVALID_ARGUMENT,
            "a machine that grows to %" PRIu64 " MiB of memory: %" PRIu64 " MiB are the most",
            config->memory_max / MIB, MEMORY_MOST / MIB);
    if (config->vcpus < 1 || most_vcpus(config) > VCPUS_MOST)
        return error_new(ERROR_INVALID_ARGUMENT, "%u processors for the machine: it must be between 1 and %d",
            most_vcpus(config), VCPUS_MOST);
    if (count_devices(config) > QEMU_SLOTS)
        return error_new(ERROR_INVALID_ARGUMENT,
            "%zu devices for the machine (%zu disks, %zu shares, %zu network cards): it can have %d",
            count_devices(config), config->disk_count, config->share_count, config->network.nic_count,
            QEMU_SLOTS);
    for (size_t i = 0; i < config->share_count; i++) {
        if (strpbrk(config->shares[i].tag, ",= "))
            return error_new(ERROR_INVALID_ARGUMENT, "bad tag of a share: %s", config->shares[i].tag);
    }
    for (size_t i = 0; i < config->network.port_count; i++)
        TRY(check_port(&config->network.ports[i]));
    if (config->snapshot && (has_file(config) || config->hot_disks))
        return error_new(ERROR_INVALID_ARGUMENT,
            "a machine with shares, with disks that come later, or that grows has no snapshot");
    return NULL;
}

/* Commas separate options in QEMU's syntax and are doubled inside a value. */
static char *escaped(const char *value)
{
    char *result = must_alloc(2 * strlen(value) + 1), *out = result;
    for (; *value; value++) {
        *out++ = *value;
        if (*value == ',')
            *out++ = ',';
    }
    return result;
}

static void add_memory(char ***line, const struct hv_config *config)
{
    const struct hv_snapshot *snapshot = config->snapshot;
    if (!has_file(config) && !snapshot)
        return;
    strv_append(line, "-object");
    if (snapshot)
        strv_append_printf(line,
            "memory-backend-file,id=ram,size=%" PRIu64 "M,mem-path=" QEMU_MEMORY_PATH ",share=%s",
            most_memory(config) / MIB, snapshot->state < 0 ? "on" : "off");
    else
        strv_append_printf(
            line, "memory-backend-memfd,id=ram,size=%" PRIu64 "M,share=on", most_memory(config) / MIB);
}

static void add_machine(char ***line, const struct hv_config *config, const struct qemu_launch *launch)
{
    strv_append(line, "-M");
    strv_append_printf(line,
        "microvm,acpi=off,pit=on,pic=on,rtc=on,isa-serial=on,mem-merge=off,dump-guest-core=off%s",
        has_file(config) || config->snapshot ? ",memory-backend=ram" : "");
    strv_append(line, "-accel");
    if (launch->kvm)
        strv_append(line, "kvm");
    else
        strv_append_printf(line, "tcg,tb-size=%d,thread=single", TRANSLATION_MIB);
    strv_append(line, "-cpu");
    strv_append(line, launch->cpu);
    strv_append(line, "-smp");
    strv_append_printf(line, "%u", most_vcpus(config));
    strv_append(line, "-m");
    strv_append_printf(line, "%" PRIu64 "M", most_memory(config) / MIB);
    add_memory(line, config);
    /* virtio-fs is a virtio 1 device; the microvm's transports are legacy unless told. */
    strv_append(line, "-global");
    strv_append(line, "virtio-mmio.force-legacy=false");
}

/*
 * A machine that can grow has all of it from the start, where it costs the host nothing until it is touched,
 * and the guest is told to begin with a part: a microvm has no other way to give it more. mem= cuts off what
 * lies above, and does not hinder memory that is added later.
 */
static void add_first_size(char ***line, const struct hv_config *config)
{
    if (!memory_grows(config) && most_vcpus(config) == config->vcpus)
        return;
    char **last = &(*line)[strv_length(*line) - 1];
    char *parameters = *last;
    _cleanup_free_ char *memory =
        memory_grows(config) ? must_printf(" mem=%" PRIu64 "M",
                                   qemu_memory_address(rounded_up(config->memory, HV_MEMORY_BLOCK)) / MIB)
                             : must_copy("");
    _cleanup_free_ char *vcpus =
        most_vcpus(config) > config->vcpus ? must_printf(" maxcpus=%u", config->vcpus) : must_copy("");
    *last = must_printf("%s%s%s", parameters, memory, vcpus);
    free(parameters);
}

/*
 * QEMU tells the guest of the transports that have a device. One that is saved is told of the others as well,
 * in the order in which QEMU fills them, so that its kernel has them by the numbers 0, 1, ... and can look
 * again at what a machine that starts from it has there (microvm_devices_init and
 * microvm_get_mmio_cmdline of QEMU's hw/i386/microvm.c).
 */
static void add_free_transports(char ***line, const struct hv_config *config)
{
    if (!config->snapshot)
        return;
    char **last = &(*line)[strv_length(*line) - 1];
    for (unsigned i = QEMU_SLOTS - DEVICES_ALWAYS; i-- > 0;) {
        char *longer = must_printf("%s virtio_mmio.device=%u@0x%x:%u", *last, TRANSPORT_SIZE,
            TRANSPORT_BASE + i * TRANSPORT_SIZE, TRANSPORT_IRQ + i);
        free(*last);
        *last = longer;
    }
}

/*
 * A file server writes into the guest's memory from a process of its own, which QEMU's emulation does not
 * see: of a page that once held code it would go on running the old translation (QEMU 8 and later know a
 * translation by its page alone, so programs crash; earlier ones mostly get away with it). Where the guest
 * clears each page before it is read into, its own stores drop the translations.
 */
static const char *emulation_parameters(const struct hv_config *config, const struct qemu_launch *launch)
{
    if (launch->kvm)
        return "";
    return config->share_count > 0 ? " mitigations=off init_on_alloc=1" : " mitigations=off";
}

/*
 * What the kernel parameters save or decide: no clock and timer self-checks (they fail on a busy host), no
 * crypto self-tests, no patching of locks for one processor, random numbers from RDRAND at once. A panic or
 * reboot is a triple fault, which ends QEMU. Free memory goes back to the host in pieces of 64 KiB, not only
 * of 2 MiB. Emulated code does not speculate, so it needs no mitigations.
 */
static void add_kernel(char ***line, const struct hv_config *config, const struct qemu_launch *launch)
{
    _cleanup_free_ char *kernel = escaped(launch->kernel), *initrd = escaped(launch->initrd);
    strv_append(line, "-kernel");
    strv_append(line, kernel);
    strv_append(line, "-initrd");
    strv_append(line, initrd);
    strv_append(line, "-append");
    strv_append_printf(line,
        "console=ttyS0 reboot=t panic=-1 tsc=reliable no_timer_check random.trust_cpu=on cryptomgr.notests "
        "rootfstype=ramfs noreplace-smp page_reporting.page_reporting_order=4%s%s%s%s",
        emulation_parameters(config, launch), config->debug ? "" : " quiet", config->append ? " " : "",
        config->append ? config->append : "");
    add_first_size(line, config);
    add_free_transports(line, config);
}

static void add_channels(char ***line)
{
    strv_append(line, "-chardev");
    strv_append_printf(line, "socket,id=monitor,fd=%d", QEMU_FD_MONITOR);
    strv_append(line, "-mon");
    strv_append(line, "chardev=monitor,mode=control");
    strv_append(line, "-chardev");
    strv_append_printf(line, "socket,id=console,fd=%d", QEMU_FD_CONSOLE);
    strv_append(line, "-serial");
    strv_append(line, "chardev:console");
    strv_append(line, "-chardev");
    strv_append_printf(line, "socket,id=link,fd=%d", QEMU_FD_LINK);
    strv_append(line, "-device");
    strv_append(line, "virtio-serial-device,max_ports=2");
    strv_append(line, "-device");
    strv_append(line, "virtserialport,nr=1,chardev=link,name=" QEMU_LINK_NAME);
}

/*
 * Read-only images are opened once by us and need no lock; their pages are shared with all other machines
 * through the page cache. A writable disk is scratch unless it says otherwise: it does not outlive the
 * machine, so a flush of the guest need not reach the host's disk. A full or broken disk of the host is an
 * I/O error in the guest (QEMU's default would stop the machine).
 */
static void add_disks(char ***line, const struct hv_config *config)
{
    for (size_t i = 0; i < config->disk_count; i++) {
        const struct hv_disk *disk = &config->disks[i];
        strv_append(line, "-add-fd");
        strv_append_printf(line, "fd=%d,set=%zu", QEMU_FD_DISKS + (int)i, i + 1);
        strv_append(line, "-blockdev");
        strv_append_printf(line, "driver=file,node-name=disk%zu,filename=/dev/fdset/%zu,locking=off,%s%s", i,
            i + 1, disk->read_only ? "read-only=on" : "read-only=off,discard=unmap",
            disk->read_only || disk->durable ? "" : ",cache.no-flush=on");
        strv_append(line, "-device");
        strv_append_printf(line, "virtio-blk-device,drive=disk%zu,werror=report,rerror=report", i);
    }
}

static void add_hot_disks(char ***line, const struct hv_config *config)
{
    if (!config->hot_disks)
        return;
    strv_append(line, "-device");
    strv_append(line, "virtio-scsi-device,id=" QEMU_DISKS_CONTROLLER ",num_queues=1");
}

static void add_shares(char ***line, const struct hv_config *config)
{
    for (size_t i = 0; i < config->share_count; i++) {
        strv_append(line, "-chardev");
        strv_append_printf(
            line, "socket,id=share%zu,fd=%d", i, QEMU_FD_DISKS + (int)config->disk_count + (int)i);
        strv_append(line, "-device");
        strv_append_printf(
            line, "vhost-user-fs-device,chardev=share%zu,tag=%s,queue-size=256", i, config->shares[i].tag);
    }
}

static void add_nic(char ***line, const char *netdev, const uint8_t mac[6])
{
    strv_append(line, "-device");
    strv_append_printf(line, "virtio-net-device,netdev=%s,mac=%02x:%02x:%02x:%02x:%02x:%02x", netdev, mac[0],
        mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void add_taps(char ***line, const struct hv_config *config)
{
    int fd = QEMU_FD_DISKS + (int)config->disk_count + (int)config->share_count;
    for (size_t i = 0; i < config->network.nic_count; i++) {
        _cleanup_free_ char *name = must_printf("tap%zu", i);
        strv_append(line, "-netdev");
        strv_append_printf(line, "tap,id=%s,fd=%d,vhost=off", name, fd + (int)i);
        add_nic(line, name, config->network.nics[i].mac);
    }
}

static void add_network(char ***line, const struct hv_config *config)
{
    const struct hv_network *network = &config->network;
    if (network->kind == HV_NETWORK_NONE)
        return;
    char loopback[RELAY_ADDRESS_SIZE];
    relay_address(config->name, loopback);
    char *netdev = must_copy("user,id=net0,ipv6=off");
    for (size_t i = 0; i < network->port_count; i++) {
        const struct hv_port *port = &network->ports[i];
        const char *address = port->host_address ? port->host_address : "";
        if (relay_is_needed(address))
            address = loopback;
        char *more = must_printf("%s,hostfwd=%s:%s:%u-:%u", netdev, port->udp ? "udp" : "tcp", address,
            port->host_port, port->guest_port);
        free(netdev);
        netdev = more;
    }
    strv_append(line, "-netdev");
    strv_take(line, netdev);
    add_nic(line, "net0", network->mac);
}

/* Memory that a guest of a snapshot gives back would be lost to the file, which all of them share. */
static void add_balloon(char ***line, const struct hv_config *config)
{
    strv_append(line, "-device");
    strv_append_printf(line, "virtio-balloon-device,free-page-reporting=%s", config->snapshot ? "off" : "on");
}

char **qemu_arguments(const struct hv_config *config, const struct qemu_launch *launch)
{
    char **line = NULL;
    _cleanup_free_ char *name = escaped(config->name);
    strv_append(&line, launch->binary);
    strv_append(&line, "-name");
    strv_append_printf(&line, "guest=%s", name);
    static const char *const fixed[] = {"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"};
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        strv_append(&line, fixed[i]);
    add_machine(&line, config, launch);
    add_kernel(&line, config, launch);
    add_channels(&line);
    /* What the snapshot has comes first, so that it has the same transports. */
    if (config->snapshot)
        add_balloon(&line, config);
    add_disks(&line, config);
    add_hot_disks(&line, config);
    add_shares(&line, config);
    add_network(&line, config);
    add_taps(&line, config);
    if (!config->snapshot)
        add_balloon(&line, config);
    if (config->snapshot && config->snapshot->state >= 0) {
        strv_append(&line, "-incoming");
        strv_append(&line, "defer");
    }
    return line;
}

void qemu_add_kernel_parameter(char **arguments, const char *parameter)
{
    for (char **argument = arguments; *argument && argument[1]; argument++) {
        if (strcmp(*argument, "-append") != 0)
            continue;
        char *longer = must_printf("%s %s", argument[1], parameter);
        free(argument[1]);
        argument[1] = longer;
        return;
    }
}
