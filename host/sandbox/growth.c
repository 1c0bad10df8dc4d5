/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing is two calls to the agent, first for memory, then for processors, each left out where it has
 * nothing to do. Two that wait may grow the machine at once: what is asked for is promised before the call,
 * so that processors are not asked for twice; blocks of memory that are asked for twice are there once.
 */
#include "sandbox/growth.h"

#include "sandbox/container_host.h"

struct growth {
    struct sandbox *sandbox;
    uint64_t memory; /* of the machine when it has grown */
    unsigned vcpus;  /* that come in addition */
    sandbox_done *done;
    void *context;
};

static uint64_t host_memory(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static unsigned host_vcpus(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > SETTINGS_VCPUS_MAX ? SETTINGS_VCPUS_MAX : (unsigned)count;
}

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + HV_MEMORY_BLOCK - 1) / HV_MEMORY_BLOCK * HV_MEMORY_BLOCK;
}

/* ---- how far ---- */

/* The command line's containers are alone, have no limits that change, and start fastest as they are. */
static bool may_grow(const struct sandbox *sandbox, const struct hv_ops *ops)
{
    return !sandbox->options.standalone && (ops->capabilities & HV_GROW);
}

uint64_t growth_limit(const struct sandbox *sandbox, const struct hv_ops *ops)
{
    const struct settings *settings = sandbox->settings;
    if (!may_grow(sandbox, ops))
        return settings->memory;
    uint64_t host = host_memory();
    return settings->memory_max < host ? settings->memory_max : host;
}

/* A machine without containers is one, too: sandbox_start's. */
static bool is_pod(const struct sandbox *sandbox)
{
    const struct container *first = TAILQ_FIRST(&sandbox->containers);
    return !first || first->kind != CONTAINER_SINGLE;
}

unsigned growth_vcpus(const struct sandbox *sandbox, const struct hv_ops *ops)
{
    const struct settings *settings = sandbox->settings;
    if (!may_grow(sandbox, ops))
        return settings->vcpus;
    unsigned host = host_vcpus(), most = settings->vcpus_max;
    if (most == 0)
        most = 2 * settings->vcpus > SETTINGS_VCPUS_GROWTH ? 2 * settings->vcpus : SETTINGS_VCPUS_GROWTH;
    if (most > host)
        most = host;
    bool expected = settings->vcpus_max > 0 || (is_pod(sandbox) && !settings->limits_told);
    bool cheap = ops->capabilities & HV_IDLE_VCPUS;
    return (expected || cheap) && most > settings->vcpus ? most : settings->vcpus;
}

/* hv.h: a machine that can grow has whole blocks. */
void growth_begin(struct sandbox *sandbox, const struct hv_config *config)
{
    bool grows = config->memory_max > config->memory;
    sandbox->memory = grows ? round_up(config->memory) : config->memory;
    sandbox->memory_max = grows ? round_up(config->memory_max) : config->memory;
    sandbox->memory_promise = sandbox->memory;
    sandbox->vcpus = config->vcpus;
    sandbox->vcpus_max = config->vcpus_max > config->vcpus ? config->vcpus_max : config->vcpus;
}

uint64_t growth_memory(const struct sandbox *sandbox)
{
    return sandbox->memory_promise > 0 ? sandbox->memory_promise : round_up(sandbox->settings->memory);
}

/* ---- what is needed ---- */

static uint64_t memory_needed(const struct sandbox *sandbox)
{
    uint64_t needed = sandbox->settings->class->memory_overhead;
    const struct container *container;
    TAILQ_FOREACH (container, &sandbox->containers, entry)
        needed += container->memory_limit < SETTINGS_MEMORY_MAX ? container->memory_limit : 0;
    return needed;
}

static uint64_t vcpus_needed(const struct sandbox *sandbox)
{
    uint64_t thousandths = 0;
    const struct container *container;
    TAILQ_FOREACH (container, &sandbox->containers, entry)
        thousandths += container->cpu.limit;
    return (thousandths + 999) / 1000;
}

/* What it is to have; with a remark where the containers may use more than it can. */
static uint64_t memory_wanted(struct sandbox *sandbox)
{
    uint64_t wanted = round_up(memory_needed(sandbox));
    uint64_t memory = wanted < sandbox->memory_max ? wanted : sandbox->memory_max;
    if (wanted > memory && wanted > sandbox->memory)
        sandbox_note(sandbox,
            "the containers may use %llu MiB of memory with what the guest needs; the machine has no more "
            "than %llu",
            (unsigned long long)(wanted >> 20), (unsigned long long)(memory >> 20));
    return memory > sandbox->memory ? memory : sandbox->memory;
}

static unsigned vcpus_wanted(struct sandbox *sandbox)
{
    uint64_t wanted = vcpus_needed(sandbox);
    unsigned vcpus = wanted < sandbox->vcpus_max ? (unsigned)wanted : sandbox->vcpus_max;
    if (wanted > vcpus && wanted > sandbox->vcpus)
        sandbox_note(sandbox, "the containers may use %llu processors; the machine has no more than %u",
            (unsigned long long)wanted, vcpus);
    return vcpus > sandbox->vcpus ? vcpus : sandbox->vcpus;
}

/* ---- growing ---- */

static void finish(struct growth *growth, struct error *error)
{
    growth->done(growth->context, error);
    free(growth);
}

static void vcpus_added(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct growth *growth = context;
    struct sandbox *sandbox = growth->sandbox;
    if (error)
        sandbox->vcpus -= growth->vcpus;
    else
        sandbox_note(sandbox, "the machine has grown to %u processors", sandbox->vcpus);
    finish(growth, error);
}

static void add_vcpus(struct growth *growth)
{
    struct sandbox *sandbox = growth->sandbox;
    growth->vcpus = vcpus_wanted(sandbox) - sandbox->vcpus;
    if (growth->vcpus == 0) {
        finish(growth, NULL);
        return;
    }
    Grpc__OnlineCPUMemRequest request = GRPC__ONLINE_CPUMEM_REQUEST__INIT;
    request.nb_cpus = growth->vcpus;
    request.cpu_only = true;
    sandbox->vcpus += growth->vcpus;
    agent_add_vcpus(sandbox->agent, &request, vcpus_added, growth);
}

static void memory_added(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct growth *growth = context;
    struct sandbox *sandbox = growth->sandbox;
    if (!error)
        error = sandbox_check_usable(sandbox);
    if (error) {
        finish(growth, error);
        return;
    }
    if (growth->memory > sandbox->memory) {
        sandbox->memory = growth->memory;
        sandbox_note(
            sandbox, "the machine has grown to %llu MiB", (unsigned long long)(growth->memory >> 20));
    }
    add_vcpus(growth);
}

/* The host lets it have as much before the guest uses it. */
static struct error *promise_memory(struct sandbox *sandbox, uint64_t memory)
{
    if (memory <= sandbox->memory_promise)
        return NULL;
    sandbox->memory_promise = memory;
    return error_wrap(sandbox_limit_cgroup(sandbox, cgroup_limit), "raising the sandbox's memory limit");
}

static void add_memory(struct growth *growth)
{
    struct sandbox *sandbox = growth->sandbox;
    struct error *error = promise_memory(sandbox, growth->memory);
    if (error) {
        finish(growth, error);
        return;
    }
    Grpc__MemHotplugByProbeRequest request = GRPC__MEM_HOTPLUG_BY_PROBE_REQUEST__INIT;
    size_t count = (growth->memory - sandbox->memory) / HV_MEMORY_BLOCK;
    _cleanup_free_ uint64_t *addresses = must_alloc_array(count, sizeof(*addresses));
    for (size_t i = 0; i < count; i++)
        addresses[i] = hv_memory_address(sandbox->hv, sandbox->memory + i * HV_MEMORY_BLOCK);
    request.mem_hotplug_probe_addr = addresses;
    request.n_mem_hotplug_probe_addr = count;
    agent_add_memory(sandbox->agent, &request, memory_added, growth);
}

void sandbox_grow(struct sandbox *sandbox, sandbox_done *done, void *context)
{
    struct growth *growth = must_new(struct growth);
    *growth = (struct growth){
        .sandbox = sandbox, .memory = memory_wanted(sandbox), .done = done, .context = context};
    if (growth->memory > sandbox->memory)
        add_memory(growth);
    else
        add_vcpus(growth);
}
