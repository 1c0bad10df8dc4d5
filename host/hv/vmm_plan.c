/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/vmm_plan.h"

#include "base/fd.h"
#include "base/process.h"
#include "hv/programs.h"
#include "hv/size.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#define GIB (UINT64_C(1) << 30)
#define MEMORY_LEAST (48 * MIB)

/* The monitor's MACHINE_DEVICES_MAX; what every machine has: link, entropy, balloon. */
#define SLOTS 19
#define DEVICES_ALWAYS 3
/* Beside the devices: MACHINE, CONSOLE, LINK and START. */
#define REQUESTS_MAX (SLOTS + 4)

struct vmm_plan {
    char *program;
    struct control_message *requests; /* own their descriptors */
    size_t request_count;
    struct vmm_channels channels;
    int control, errors, kvm; /* the monitor's ends */
};

static size_t count_devices(const struct hv_config *config)
{
    return DEVICES_ALWAYS + config->disk_count + config->share_count + config->network.nic_count;
}

size_t vmm_room(const struct hv_config *config)
{
    size_t count = count_devices(config);
    return count < SLOTS ? SLOTS - count : 0;
}

/* GUEST_MEMORY_GAP and GUEST_MEMORY_HIGH of the monitor. */
uint64_t vmm_memory_address(uint64_t offset)
{
    return offset < 3 * GIB ? offset : offset + GIB;
}

static struct error *check_abilities(const struct hv_config *config)
{
    if (config->network.kind == HV_NETWORK_USER)
        return error_new(
            ERROR_UNIMPLEMENTED, "caisson-vmm has no user network; use qemu-kvm, or --network none");
    if (config->hot_disks)
        return error_new(ERROR_UNIMPLEMENTED, "caisson-vmm takes no disks while it runs");
    if (config->snapshot)
        return error_new(ERROR_UNIMPLEMENTED, "caisson-vmm saves no machines");
    return NULL;
}

static struct error *check_config(const struct hv_config *config)
{
    if (!config->name || !config->kernel || !config->initrd)
        return error_new(ERROR_INVALID_ARGUMENT, "a machine needs a name, a kernel and an initrd");
    if (config->memory < MEMORY_LEAST || most_memory(config) > CONTROL_MEMORY_MOST)
        return error_new(ERROR_INVALID_ARGUMENT,
            "%" PRIu64 " MiB of memory for the machine: it must be between %" PRIu64 " and %" PRIu64 " MiB",
            config->memory / MIB, MEMORY_LEAST / MIB, CONTROL_MEMORY_MOST / MIB);
    if (config->vcpus < 1 || most_vcpus(config) > CONTROL_PROCESSORS_MOST)
        return error_new(ERROR_INVALID_ARGUMENT, "%u processors for the machine: it must be between 1 and %u",
            most_vcpus(config), CONTROL_PROCESSORS_MOST);
    if (count_devices(config) > SLOTS)
        return error_new(ERROR_INVALID_ARGUMENT,
            "%zu devices for the machine (%zu disks, %zu shares, %zu network cards): it can have %d",
            count_devices(config), config->disk_count, config->share_count, config->network.nic_count, SLOTS);
    for (size_t i = 0; i < config->share_count; i++) {
        size_t length = strlen(config->shares[i].tag);
        if (length == 0 || length > CONTROL_TAG_SIZE)
            return error_new(ERROR_INVALID_ARGUMENT, "bad tag of a share: %s", config->shares[i].tag);
    }
    return check_abilities(config);
}

/* The next request, with its number. */
static struct control_message *add_request(struct vmm_plan *plan, enum control_type type)
{
    struct control_message *request = &plan->requests[plan->request_count++];
    *request = (struct control_message){.type = type, .sequence = (uint32_t)plan->request_count};
    return request;
}

static void give(struct control_message *request, int fd)
{
    request->fds[request->fd_count++] = fd;
}

static struct error *give_file(struct control_message *request, const char *path, int flags, const char *what)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "%s %s", what, path);
    give(request, fd);
    return NULL;
}

static struct error *give_copy(struct control_message *request, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return error_errno(errno, "passing a descriptor to the monitor");
    give(request, copy);
    return NULL;
}

/* The monitor's end is one that it never waits for. */
static struct error *give_channel(struct control_message *request, int *ret_ours)
{
    int theirs;
    TRY(unix_pair(ret_ours, &theirs));
    give(request, theirs);
    return fd_set_nonblocking(theirs, true);
}

/*
 * What the kernel parameters save or decide is explained at QEMU's (qemu_arguments.c): the guest is the same.
 * Memory and processors that the machine may grow to are there from the start, and the guest is told to begin
 * with less.
 */
static struct error *write_command_line(const struct hv_config *config, char *text)
{
    char memory[32] = "", vcpus[32] = "";
    if (memory_grows(config))
        snprintf(memory, sizeof(memory), " mem=%" PRIu64 "M",
            vmm_memory_address(rounded_up(config->memory, HV_MEMORY_BLOCK)) / MIB);
    if (most_vcpus(config) > config->vcpus)
        snprintf(vcpus, sizeof(vcpus), " maxcpus=%u", config->vcpus);
    int length = snprintf(text, CONTROL_TEXT_MAX + 1,
        "console=ttyS0 reboot=t panic=-1 tsc=reliable no_timer_check random.trust_cpu=on cryptomgr.notests "
        "rootfstype=ramfs noreplace-smp page_reporting.page_reporting_order=4%s%s%s%s%s",
        config->debug ? "" : " quiet", config->append ? " " : "", config->append ? config->append : "",
        memory, vcpus);
    if (length < 0 || (size_t)length > CONTROL_TEXT_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "the kernel's command line has more than %u characters",
            CONTROL_TEXT_MAX);
    return NULL;
}

static struct error *add_machine(struct vmm_plan *plan, const struct hv_config *config)
{
    struct control_message *request = add_request(plan, CONTROL_MACHINE);
    request->machine = (struct control_machine){
        .memory = most_memory(config),
        .processors = most_vcpus(config),
        .flags = config->share_count > 0 ? CONTROL_SHARED : 0,
    };
    TRY(give_file(request, config->kernel, O_RDONLY, "guest kernel"));
    TRY(give_file(request, config->initrd, O_RDONLY, "guest initrd"));
    return write_command_line(config, request->text);
}

static struct error *add_disk(struct vmm_plan *plan, const struct hv_disk *disk)
{
    struct control_message *request = add_request(plan, CONTROL_DISK);
    request->disk.flags = (disk->read_only ? CONTROL_READ_ONLY : 0) | (disk->durable ? CONTROL_DURABLE : 0);
    if (disk->path)
        return give_file(request, disk->path, disk->read_only ? O_RDONLY : O_RDWR, "disk image");
    return give_copy(request, disk->fd);
}

static struct error *add_devices(struct vmm_plan *plan, const struct hv_config *config)
{
    for (size_t i = 0; i < config->disk_count; i++)
        TRY(add_disk(plan, &config->disks[i]));
    for (size_t i = 0; i < config->share_count; i++) {
        struct control_message *request = add_request(plan, CONTROL_SHARE);
        memcpy(request->share.tag, config->shares[i].tag, strlen(config->shares[i].tag));
        TRY(give_copy(request, config->shares[i].socket));
    }
    for (size_t i = 0; i < config->network.nic_count; i++) {
        struct control_message *request = add_request(plan, CONTROL_NIC);
        memcpy(request->nic.mac, config->network.nics[i].mac, sizeof(request->nic.mac));
        TRY(give_copy(request, config->network.nics[i].fd));
    }
    return NULL;
}

static struct error *add_requests(struct vmm_plan *plan, const struct hv_config *config)
{
    TRY(add_machine(plan, config));
    TRY(give_channel(add_request(plan, CONTROL_CONSOLE), &plan->channels.console));
    TRY(give_channel(add_request(plan, CONTROL_LINK), &plan->channels.link));
    TRY(add_devices(plan, config));
    add_request(plan, CONTROL_START);
    return NULL;
}

static struct error *open_channels(struct vmm_plan *plan)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return error_errno(errno, "the monitor's control channel");
    plan->channels.control = pair[0];
    plan->control = pair[1];
    TRY(unix_pair(&plan->channels.errors, &plan->errors));
    plan->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (plan->kvm < 0)
        return error_wrap(error_errno(errno, "/dev/kvm"), "KVM is not usable here");
    return NULL;
}

struct error *vmm_plan_new(const struct hv_config *config, struct vmm_plan **ret_plan)
{
    TRY(check_config(config));
    _cleanup_(vmm_plan_free) struct vmm_plan *plan = must_new(struct vmm_plan);
    plan->channels = (struct vmm_channels){-1, -1, -1, -1};
    plan->control = plan->errors = plan->kvm = -1;
    plan->requests = must_alloc_array(REQUESTS_MAX, sizeof(*plan->requests));
    TRY(find_vmm(&plan->program));
    TRY(add_requests(plan, config));
    TRY(open_channels(plan));
    *ret_plan = TAKE_PTR(plan);
    return NULL;
}

static void close_given(struct vmm_plan *plan)
{
    for (size_t i = 0; i < plan->request_count; i++)
        control_message_clear(&plan->requests[i]);
    plan->request_count = 0;
    close_fd(TAKE_FD(plan->control));
    close_fd(TAKE_FD(plan->errors));
    close_fd(TAKE_FD(plan->kvm));
}

void vmm_plan_free(struct vmm_plan *plan)
{
    if (!plan)
        return;
    close_given(plan);
    close_fd(plan->channels.control);
    close_fd(plan->channels.console);
    close_fd(plan->channels.link);
    close_fd(plan->channels.errors);
    free(plan->requests);
    free(plan->program);
    free(plan);
}

/* The monitor confines itself, first thing, with what it has then: nothing but these descriptors. */
static struct error *spawn(const struct vmm_plan *plan, pid_t *ret_pid)
{
    char *const environment[] = {NULL};
    char *const arguments[] = {plan->program, NULL};
    const struct process_fd fds[] = {
        {plan->errors, STDERR_FILENO},
        {plan->control, CONTROL_FD},
        {plan->kvm, CONTROL_KVM_FD},
    };
    const struct process_options options = {
        .arguments = arguments,
        .environment = environment,
        .directory = "/",
        .fds = fds,
        .fd_count = ARRAY_SIZE(fds),
        .new_session = true,
        .die_with_parent = true,
    };
    return process_spawn(&options, ret_pid);
}

struct error *vmm_plan_spawn(
    struct vmm_plan *plan, pid_t *ret_pid, struct vmm_channels *ret_channels, uint32_t *ret_requests)
{
    /* Before the process runs, so that it finds all of it waiting. */
    for (size_t i = 0; i < plan->request_count; i++)
        TRY(control_send(plan->channels.control, &plan->requests[i]));
    uint32_t requests = (uint32_t)plan->request_count;
    TRY(spawn(plan, ret_pid));
    close_given(plan);
    *ret_channels = plan->channels;
    *ret_requests = requests;
    plan->channels = (struct vmm_channels){-1, -1, -1, -1};
    return NULL;
}
