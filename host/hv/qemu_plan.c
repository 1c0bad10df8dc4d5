/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/qemu_plan.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"
#include "hv/file_mark.h"
#include "hv/hash.h"
#include "hv/programs.h"
#include "hv/qemu_arguments.h"
#include "hv/tsc.h"
#include "jail/jail.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define BINDS_MAX 4
#define FDS_MAX (QEMU_FD_DISKS + QEMU_SLOTS)
/* QEMU itself needs about thirty; the rest is for connections through its user network. */
#define FILES_MAX 4096

struct qemu_plan {
    char **arguments;
    struct jail *jail;
    struct process_fd fds[FDS_MAX]; /* owned: closed when QEMU has them */
    size_t fd_count;
    struct qemu_channels channels;
    bool emulated;
    struct tsc_sample created; /* first half of measuring the TSC */
};

static void give_fd(struct qemu_plan *plan, int fd, int child_fd)
{
    plan->fds[plan->fd_count++] = (struct process_fd){fd, child_fd};
}

static struct error *give_channel(struct qemu_plan *plan, int child_fd, int *ret_ours)
{
    int theirs;
    TRY(unix_pair(ret_ours, &theirs));
    give_fd(plan, theirs, child_fd);
    return NULL;
}

static struct error *give_copy(struct qemu_plan *plan, int fd, int child_fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return error_errno(errno, "passing a descriptor to QEMU");
    give_fd(plan, copy, child_fd);
    return NULL;
}

static struct error *give_disk(struct qemu_plan *plan, const struct hv_disk *disk, int child_fd)
{
    if (!disk->path)
        return give_copy(plan, disk->fd, child_fd);
    int fd = open(disk->path, (disk->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "disk image %s", disk->path);
    give_fd(plan, fd, child_fd);
    return NULL;
}

static struct error *keep_state(struct qemu_plan *plan, const struct hv_snapshot *snapshot)
{
    if (!snapshot || snapshot->state < 0)
        return NULL;
    plan->channels.state = fcntl(snapshot->state, F_DUPFD_CLOEXEC, 3);
    return plan->channels.state < 0 ? error_errno(errno, "the state of the snapshot") : NULL;
}

static struct error *give_fds(struct qemu_plan *plan, const struct hv_config *config)
{
    TRY(give_channel(plan, STDERR_FILENO, &plan->channels.errors));
    TRY(give_channel(plan, QEMU_FD_MONITOR, &plan->channels.monitor));
    TRY(give_channel(plan, QEMU_FD_CONSOLE, &plan->channels.console));
    TRY(give_channel(plan, QEMU_FD_LINK, &plan->channels.link));
    int next = QEMU_FD_DISKS;
    for (size_t i = 0; i < config->disk_count; i++)
        TRY(give_disk(plan, &config->disks[i], next++));
    for (size_t i = 0; i < config->share_count; i++)
        TRY(give_copy(plan, config->shares[i].socket, next++));
    for (size_t i = 0; i < config->network.nic_count; i++)
        TRY(give_copy(plan, config->network.nics[i].fd, next++));
    return NULL;
}

static struct error *make_jail(
    struct qemu_plan *plan, const struct hv_config *config, const struct qemu_launch *launch)
{
    bool network = config->network.kind == HV_NETWORK_USER;
    static const char *const devices[] = {"/dev/kvm"};
    /* The user network reads the host's name servers. */
    _cleanup_free_ char *resolver = NULL;
    if (network)
        error_free(path_resolve("/etc/resolv.conf", &resolver));
    struct jail_bind binds[BINDS_MAX] = {{.source = launch->kernel}, {.source = launch->initrd}};
    size_t bind_count = 2;
    if (resolver)
        binds[bind_count++] = (struct jail_bind){.source = resolver, .target = "/etc/resolv.conf"};
    if (config->snapshot)
        binds[bind_count++] = (struct jail_bind){
            .source = config->snapshot->memory, .target = QEMU_MEMORY_PATH, .writable = true};
    const struct jail_config jail = {
        .name = "QEMU",
        .program = launch->binary,
        .binds = binds,
        .bind_count = bind_count,
        .devices = devices,
        .device_count = launch->kvm ? 1 : 0,
        .host_network = network,
        .seed = hash_text(config->name),
        .files = FILES_MAX,
    };
    return jail_new(&jail, &plan->jail);
}

/*
 * KVM inside a virtual machine may offer MSR_ARCH_CAPABILITIES and then refuse it, on which QEMU aborts; a
 * guest can do without. Under emulation "rep movsb" is slow, so the kernel is not told that it is fast.
 */
static const char *cpu_model(bool kvm)
{
    return kvm ? "host,-arch-capabilities" : "max,-erms";
}

static struct error *identify(bool kvm, char **ret_text)
{
    _cleanup_free_ char *binary = NULL, *mark = NULL;
    TRY(find_qemu(&binary));
    TRY(file_mark(binary, &mark));
    *ret_text = must_printf("%s %s", mark, cpu_model(kvm));
    return NULL;
}

struct error *qemu_identity_tcg(char **ret_text)
{
    return identify(false, ret_text);
}

struct error *qemu_identity_kvm(char **ret_text)
{
    return identify(true, ret_text);
}

struct error *qemu_plan_new(const struct hv_config *config, bool kvm, struct qemu_plan **ret_plan)
{
    TRY(qemu_check_config(config));
    _cleanup_(qemu_plan_free) struct qemu_plan *plan = must_new(struct qemu_plan);
    plan->channels = (struct qemu_channels){-1, -1, -1, -1, -1};
    plan->emulated = !kvm;
    plan->created = tsc_sample();
    _cleanup_free_ char *binary = NULL, *kernel = NULL, *initrd = NULL;
    TRY(find_qemu(&binary));
    struct error *error = path_resolve(config->kernel, &kernel);
    if (error)
        return error_wrap(error, "guest kernel");
    error = path_resolve(config->initrd, &initrd);
    if (error)
        return error_wrap(error, "guest initrd");
    const struct qemu_launch launch = {
        .binary = binary, .kvm = kvm, .cpu = cpu_model(kvm), .kernel = kernel, .initrd = initrd};
    TRY(make_jail(plan, config, &launch));
    TRY(give_fds(plan, config));
    TRY(keep_state(plan, config->snapshot));
    plan->arguments = qemu_arguments(config, &launch);
    *ret_plan = TAKE_PTR(plan);
    return NULL;
}

static void close_given(struct qemu_plan *plan)
{
    for (size_t i = 0; i < plan->fd_count; i++)
        close_fd(plan->fds[i].fd);
    plan->fd_count = 0;
}

void qemu_plan_free(struct qemu_plan *plan)
{
    if (!plan)
        return;
    close_given(plan);
    close_fd(plan->channels.monitor);
    close_fd(plan->channels.console);
    close_fd(plan->channels.link);
    close_fd(plan->channels.errors);
    close_fd(plan->channels.state);
    jail_free(plan->jail);
    strv_free(plan->arguments);
    free(plan);
}

/* Our kernel's own parameter (guest/kernel/patches): measuring in the guest takes long, and fails on a host
   that has much to do. */
static void tell_clock_rate(struct qemu_plan *plan)
{
    if (!plan->emulated)
        return;
    _cleanup_free_ char *parameter = must_printf("tcg_tsc_khz=%" PRIu64, tsc_rate(&plan->created));
    qemu_add_kernel_parameter(plan->arguments, parameter);
}

struct error *qemu_plan_spawn(struct qemu_plan *plan, pid_t *ret_pid, struct qemu_channels *ret_channels)
{
    /* Nothing of our surroundings reaches QEMU. One malloc arena: its threads allocate little. */
    char *const environment[] = {
        (char[]){"PATH=/usr/bin:/bin"}, (char[]){"LC_ALL=C"}, (char[]){"MALLOC_ARENA_MAX=1"}, NULL};
    tell_clock_rate(plan);
    const struct process_options options = {
        .arguments = plan->arguments,
        .environment = environment,
        .directory = "/",
        .fds = plan->fds,
        .fd_count = plan->fd_count,
        .new_session = true,
        .die_with_parent = true,
    };
    TRY(jail_spawn(plan->jail, &options, ret_pid));
    close_given(plan);
    *ret_channels = plan->channels;
    plan->channels = (struct qemu_channels){-1, -1, -1, -1, -1};
    return NULL;
}
