/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/growth.h"

struct growth {
    struct sandbox *sandbox;
    uint64_t memory; /* of the machine when it has grown */
    sandbox_done *done;
    void *context;
};

static uint64_t host_memory(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + HV_MEMORY_BLOCK - 1) / HV_MEMORY_BLOCK * HV_MEMORY_BLOCK;
}

/* The command line's containers are alone, have no limits that change, and start fastest as they are. */
uint64_t growth_limit(const struct sandbox *sandbox, const struct hv_ops *ops)
{
    const struct settings *settings = sandbox->settings;
    if (sandbox->options.standalone || !(ops->capabilities & HV_GROW))
        return settings->memory;
    uint64_t host = host_memory();
    return settings->memory_max < host ? settings->memory_max : host;
}

/* hv.h: a machine that can grow has whole blocks. */
void growth_begin(struct sandbox *sandbox, const struct hv_config *config)
{
    bool grows = config->memory_max > config->memory;
    sandbox->memory = grows ? round_up(config->memory) : config->memory;
    sandbox->memory_max = grows ? round_up(config->memory_max) : config->memory;
}

static uint64_t memory_needed(const struct sandbox *sandbox)
{
    uint64_t needed = sandbox->settings->class->memory_overhead;
    const struct container *container;
    TAILQ_FOREACH (container, &sandbox->containers, entry)
        needed += container->memory_limit < SETTINGS_MEMORY_MAX ? container->memory_limit : 0;
    return needed;
}

static void grown(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct growth *growth = context;
    struct sandbox *sandbox = growth->sandbox;
    if (!error && growth->memory > sandbox->memory) {
        sandbox->memory = growth->memory;
        sandbox_note(
            sandbox, "the machine has grown to %llu MiB", (unsigned long long)(growth->memory >> 20));
    }
    growth->done(growth->context, error);
    free(growth);
}

/* Blocks that are asked for twice, by two that wait, are there once. */
static void add_blocks(struct growth *growth)
{
    struct sandbox *sandbox = growth->sandbox;
    Grpc__MemHotplugByProbeRequest request = GRPC__MEM_HOTPLUG_BY_PROBE_REQUEST__INIT;
    size_t count = (growth->memory - sandbox->memory) / HV_MEMORY_BLOCK;
    _cleanup_free_ uint64_t *addresses = must_alloc_array(count, sizeof(*addresses));
    for (size_t i = 0; i < count; i++)
        addresses[i] = hv_memory_address(sandbox->hv, sandbox->memory + i * HV_MEMORY_BLOCK);
    request.mem_hotplug_probe_addr = addresses;
    request.n_mem_hotplug_probe_addr = count;
    agent_add_memory(sandbox->agent, &request, grown, growth);
}

void sandbox_grow(struct sandbox *sandbox, sandbox_done *done, void *context)
{
    uint64_t wanted = round_up(memory_needed(sandbox));
    uint64_t memory = wanted < sandbox->memory_max ? wanted : sandbox->memory_max;
    if (wanted > memory && wanted > sandbox->memory)
        sandbox_note(sandbox,
            "the containers may use %llu MiB of memory with what the guest needs; the machine has no more "
            "than "
            "%llu",
            (unsigned long long)(wanted >> 20), (unsigned long long)(memory >> 20));
    if (memory <= sandbox->memory) {
        done(context, NULL);
        return;
    }
    struct growth *growth = must_new(struct growth);
    *growth = (struct growth){.sandbox = sandbox, .memory = memory, .done = done, .context = context};
    add_blocks(growth);
}
