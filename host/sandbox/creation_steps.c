/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/creation.h"

#include "base/json.h"
#include "base/strv.h"
#include "sandbox/container_host.h"
#include "sandbox/growth.h"
#include "sandbox/guest_devices.h"

#include <fcntl.h>
#include <string.h>

/* ---- reading the configuration ---- */

static struct error *read_configuration(struct creation *creation)
{
    struct container *container = creation->container;
    const struct sandbox *sandbox = creation->sandbox;
    _cleanup_fd_ int directory = open(container->bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return error_errno(errno, "opening the bundle %s", container->bundle);
    TRY(oci_config_load(directory, &creation->spec));
    if (!creation->spec->process)
        return error_new(ERROR_INVALID_ARGUMENT, "config.json has no process to run");
    TRY(pod_read_kind(creation->spec, &container->kind));
    TRY(pod_check(creation->spec, container->kind, creation->with_machine, sandbox->options.standalone));
    TRY(guest_devices_check(creation->spec));
    const Grpc__LinuxResources *resources =
        creation->spec->linux_config ? creation->spec->linux_config->resources : NULL;
    container->memory_limit = guest_memory_limit(resources);
    container_cpu_set(&container->cpu, resources);
    creation->spec->process->terminal = creation->process->terminal;
    return guest_mounts_read(
        creation->spec, container->bundle, sandbox->options.standalone, &creation->mounts);
}

static void configure(struct creation *creation)
{
    creation_step_done(creation, read_configuration(creation));
}

static void choose_settings(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    const char *path = creation->config_path;
    const struct settings_source source = {.spec = creation->spec,
        .config_path = path && *path ? path : NULL,
        .trusted = sandbox->options.standalone};
    struct error *error = settings_load(&source, &sandbox->settings);
    if (!error)
        STRV_FOREACH (remark, sandbox->settings->remarks)
            sandbox_note(sandbox, "%s", *remark);
    creation_step_done(creation, error);
}

static void forget_settings(struct creation *creation)
{
    settings_free(TAKE_PTR(creation->sandbox->settings));
}

/* ---- standard streams ---- */

static void open_streams(struct creation *creation)
{
    creation_step_done(creation, process_open_stdio(creation->process));
}

static void streams_ready(void *creation, struct error *error)
{
    creation_step_done(creation, error);
}

static void await_streams(struct creation *creation)
{
    stdio_await_ready(creation->process->stdio, streams_ready, creation);
}

static void close_streams(struct creation *creation)
{
    stdio_free(TAKE_PTR(creation->process->stdio));
}

/* ---- the machine ---- */

struct hv_config creation_machine_config(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    const struct settings *settings = sandbox->settings;
    struct hv_config config = {.name = sandbox->options.id,
        .directory = sandbox->options.directory,
        .kernel = settings->kernel ? settings->kernel : sandbox->options.kernel,
        .initrd = settings->initrd ? settings->initrd : sandbox->options.initrd,
        .append = settings->kernel_params,
        .vcpus = settings->vcpus,
        .memory = settings->memory,
        .network = {.kind = settings->network,
            .ports = settings->ports,
            .port_count = settings->port_count,
            .mac = GUEST_MAC},
        .debug = settings->debug || sandbox->options.debug};
    config.disks = storage_disks(sandbox->storage, &config.disk_count);
    config.shares = storage_shares(sandbox->storage, &config.share_count);
    config.hot_disks = storage_is_dynamic(sandbox->storage);
    creation_add_nics(sandbox, creation->hypervisor, &config);
    config.memory_max = growth_limit(sandbox, creation->hypervisor);
    config.vcpus_max = growth_vcpus(sandbox, creation->hypervisor);
    config.snapshot = creation->template ? template_snapshot(creation->template) : NULL;
    return config;
}

/* What `inspect` shows of the machine. */
static void describe_machine(const struct creation *creation)
{
    const char *hypervisor = creation->hypervisor->name;
    const char *reason = creation->hypervisor_reason ? creation->hypervisor_reason : "";
    const struct settings *settings = creation->sandbox->settings;
    _cleanup_json_ json_t *machine = json_pack("{s:s, s:s, s:b, s:I, s:I, s:I}", "hypervisor", hypervisor,
        "reason", reason, "template", creation->template != NULL, "vcpus", (json_int_t)settings->vcpus,
        "memory", (json_int_t)settings->memory, "pid", (json_int_t)sandbox_process_id(creation->sandbox));
    _cleanup_free_ char *text = json_write(machine);
    if (creation->container)
        container_write_file(creation->container, "machine.json", text);
    sandbox_note(creation->sandbox, "sandbox %s: machine by %s (%s)%s, %u vCPUs, %llu MiB",
        creation->sandbox->options.id, hypervisor, reason, creation->template ? ", from a template" : "",
        settings->vcpus, (unsigned long long)(settings->memory >> 20));
}

static void mark_machine(struct sandbox *sandbox, uint64_t began)
{
    struct hv_timings timings = {0};
    hv_timings(sandbox->hv, &timings);
    const struct timeline_mark marks[] = {{"hypervisor spawned", timings.spawned},
        {"hypervisor answers", timings.monitor}, {"kernel started", timings.console},
        {"machine restored", timings.restored}, {"agent answers", timings.ready}};
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
        if (marks[i].at > 0)
            timeline_mark_at(&sandbox->timeline, marks[i].name, began + marks[i].at);
}

/* The machine has its own copies. One whose template fails is made twice, so they are kept until it runs. */
static void release_descriptors(struct sandbox *sandbox)
{
    storage_release(sandbox->storage);
    if (sandbox->net)
        net_release(sandbox->net);
}

static void machine_started(void *context, struct error *error)
{
    struct creation *creation = context;
    if (!error) {
        mark_machine(creation->sandbox, creation->machine_began);
        storage_set_machine(creation->sandbox->storage, creation->sandbox->hv);
        release_descriptors(creation->sandbox);
    } else if (creation->template) {
        creation_give_up_template(creation, TAKE_PTR(error));
    }
    creation_step_done(creation, error);
}

static struct error *make_machine(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    struct hv_config config = creation_machine_config(creation);
    TRY(hv_new(creation->hypervisor, sandbox->base, &config, &sandbox_hv_events, sandbox, &sandbox->hv));
    growth_begin(sandbox, &config);
    creation->machine_began = timeline_now();
    hv_start(sandbox->hv, machine_started, creation);
    describe_machine(creation);
    return NULL;
}

static void start_machine(struct creation *creation)
{
    struct error *error = make_machine(creation);
    if (error)
        machine_started(creation, error);
}

static void destroy_machine(struct creation *creation)
{
    hv_free(TAKE_PTR(creation->sandbox->hv));
}

static void boot_instead(struct creation *creation)
{
    if (!creation->restore_failed) {
        creation_step_done(creation, NULL);
        return;
    }
    destroy_machine(creation);
    creation_release_template(creation);
    start_machine(creation);
}

static void machine_grown(void *context, struct error *error)
{
    creation_call_done(context, error, NULL);
}

static void grow_machine(struct creation *creation)
{
    sandbox_grow(creation->sandbox, machine_grown, creation);
}

/* ---- the agent ---- */

static struct error *make_agent(struct sandbox *sandbox)
{
    int fd = -1;
    TRY(hv_connect(sandbox->hv, AGENT_PORT, &fd, NULL));
    return agent_new(sandbox->base, fd, sandbox_agent_closed, sandbox, &sandbox->agent);
}

static void connect_agent(struct creation *creation)
{
    creation_step_done(creation, make_agent(creation->sandbox));
}

static void disconnect_agent(struct creation *creation)
{
    agent_free(TAKE_PTR(creation->sandbox->agent));
}

/* QEMU's user network answers DNS at this address from the host's own resolv.conf. */
static char *const user_network_dns[] = {"10.0.2.3", NULL};

/* Lines of resolv.conf, as Kata's runtime sends them; NULL where there are none. */
static char **list_dns(const struct creation *creation)
{
    const struct settings *settings = creation->sandbox->settings;
    char *const *servers = settings->dns;
    char **lines = strv_copy(creation->dns);
    if (!servers && settings->network == HV_NETWORK_USER)
        servers = user_network_dns;
    STRV_FOREACH (server, servers)
        strv_append_printf(&lines, "nameserver %s", *server);
    return lines;
}

static void create_guest_sandbox(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    Grpc__CreateSandboxRequest request = GRPC__CREATE_SANDBOX_REQUEST__INIT;
    request.sandbox_id = sandbox->options.id;
    request.hostname = creation->spec->hostname;
    _cleanup_strv_ char **dns = list_dns(creation);
    request.dns = (const char **)(uintptr_t)dns;
    request.n_dns = strv_length(dns);
    sandbox->has_resolver = dns != NULL;
    request.sandbox_pidns = creation_is_of_pod(creation);
    const struct storage_mount *mounts = storage_sandbox_mounts(sandbox->storage, &request.n_storages);
    _cleanup_(creation_storages_free) Grpc__Storage **storages =
        creation_storages(mounts, request.n_storages);
    creation_add_shared_memory(creation, &storages, &request.n_storages);
    request.storages = storages;
    agent_create_sandbox(sandbox->agent, &request, creation_call_done, creation);
}

/* ---- the container ---- */

static struct error *make_container(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    const char *id = creation->container->id;
    TRY(stdio_connect(creation->process->stdio, sandbox_connect_stream, sandbox, &creation->ports));
    const struct container_storage *storage = creation->container->storage;
    const struct guest_container container = {.id = id,
        .root_path = container_storage_rootfs(storage),
        .kind = creation->container->kind,
        .mounts = creation->mounts,
        .without_seccomp = !sandbox->settings->guest_seccomp};
    Grpc__CreateContainerRequest request = GRPC__CREATE_CONTAINER_REQUEST__INIT;
    request.sandbox_pidns = guest_shares_pid_namespace(creation->spec, container.kind);
    guest_spec_rewrite(creation->spec, &container);
    creation_add_pod_files(creation);
    request.container_id = id;
    request.exec_id = id;
    request.oci = creation->spec;
    request.stdin_port = creation->ports.in;
    request.stdout_port = creation->ports.out;
    request.stderr_port = creation->ports.error;
    const struct storage_mount *mounts = container_storage_mounts(storage, &request.n_storages);
    _cleanup_(creation_storages_free) Grpc__Storage **storages =
        creation_storages(mounts, request.n_storages);
    creation_add_volumes(creation, &storages, &request.n_storages);
    creation_add_host_sockets(creation, &storages, &request.n_storages);
    request.storages = storages;
    agent_create_container(sandbox->agent, &request, creation_call_done, creation);
    return NULL;
}

static void create_guest_container(struct creation *creation)
{
    struct error *error = make_container(creation);
    if (error)
        creation_step_done(creation, error);
}

static void removed_from_guest(void *context, struct error *error, const ProtobufCMessage *response)
{
    container_storage_free(context);
    error_free(error);
}

/* In a machine that lives on; one that was made for this container goes as a whole. What the guest may have
   mounted is kept until it answers. */
static void remove_guest_container(struct creation *creation)
{
    struct container *container = creation->container;
    if (!creation->with_machine && creation->sandbox->agent)
        agent_remove_container(
            creation->sandbox->agent, container->id, removed_from_guest, TAKE_PTR(container->storage));
}

const struct creation_step creation_steps[] = {
    {.name = "reading the configuration", .start = configure},
    {.name = "deciding on the machine",
        .part = CREATION_MACHINE,
        .start = choose_settings,
        .undo = forget_settings},
    {.name = "opening the standard streams", .start = open_streams, .undo = close_streams},
    {.name = "entering the cgroup",
        .part = CREATION_MACHINE,
        .start = creation_enter_cgroup,
        .undo = creation_leave_cgroup},
    {.name = "adapting the sandbox's cgroup",
        .part = CREATION_ATTACH,
        .start = creation_adapt_cgroup,
        .undo = creation_step_out_of_cgroup},
    {.name = "making its stand-in on the host",
        .start = creation_make_stand_in,
        .undo = creation_remove_stand_in},
    {.name = "running the hooks of the host",
        .mark = "hooks done",
        .start = creation_run_host_hooks,
        .undo = creation_undo_host_hooks},
    {.name = "preparing the sandbox's storage",
        .part = CREATION_MACHINE,
        .start = creation_make_storage,
        .undo = creation_release_storage},
    {.name = "preparing the container's storage",
        .mark = "storage ready",
        .start = creation_add_storage,
        .undo = creation_remove_storage},
    {.name = "showing the root file system to the host", .start = creation_show_root},
    {.name = "reading the network namespace",
        .part = CREATION_MACHINE,
        .start = creation_scan_network,
        .undo = creation_leave_network},
    {.name = "choosing the hypervisor", .part = CREATION_MACHINE, .start = creation_choose_hypervisor},
    {.name = "preparing the machine's template",
        .part = CREATION_MACHINE,
        .start = creation_find_template,
        .undo = creation_release_template},
    {.name = "starting the virtual machine",
        .part = CREATION_MACHINE,
        .start = start_machine,
        .undo = destroy_machine},
    {.name = "booting the virtual machine, for want of a template",
        .part = CREATION_MACHINE,
        .start = boot_instead},
    {.name = "connecting to the agent",
        .part = CREATION_MACHINE,
        .start = connect_agent,
        .undo = disconnect_agent},
    {.name = "renewing the guest's random numbers and clock",
        .part = CREATION_MACHINE,
        .asks_agent = true,
        .start = creation_renew_guest},
    {.name = "creating the sandbox in the guest",
        .mark = "sandbox created",
        .part = CREATION_MACHINE,
        .asks_agent = true,
        .start = create_guest_sandbox},
    {.name = "setting up the guest's network",
        .mark = "network ready",
        .part = CREATION_MACHINE,
        .asks_agent = true,
        .start = creation_set_up_network},
    {.name = "giving the machine what it may use",
        .part = CREATION_ATTACH,
        .asks_agent = true,
        .start = grow_machine},
    {.name = "copying files into the guest",
        .mark = "files copied",
        .asks_agent = true,
        .start = creation_copy_files},
    {.name = "waiting for whoever takes its output", .start = await_streams},
    {.name = "creating the container in the guest",
        .mark = "container created",
        .asks_agent = true,
        .start = create_guest_container,
        .undo = remove_guest_container},
};
const size_t creation_step_count = ARRAY_SIZE(creation_steps);
