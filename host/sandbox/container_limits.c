/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sandbox's cgroup on the host is limited to.
 *
 * A container's own limits hold in the guest, where its processes are; on the host they would hit what the
 * hypervisor needs as well. But two matters are the host's alone, and of all containers together, since their
 * machine is one: the CPUs that it may run on (Kata, too, takes the union) and its weight against others. The
 * memory is bounded by what the machine has, and the bound rises when the machine grows.
 */
#include "sandbox/container_host.h"
#include "sandbox/growth.h"

#include <string.h>

/* What the hypervisor, the file server, this process and the stand-ins may need beside the guest's memory:
   the host must not end a machine because its guest uses what it was given. */
#define HOST_MEMORY_OVERHEAD (256ull << 20)
/* Of a container that names none, as the kernel has it. */
#define SHARES_DEFAULT 1024

static void replace(char **text, const char *value)
{
    if (!value || !*value)
        return;
    free(*text);
    *text = must_copy(value);
}

/* In thousandths; a quota that nobody means is as good as none. */
static uint64_t processors(int64_t quota, uint64_t period)
{
    return quota < INT64_MAX / 1000 ? (uint64_t)quota * 1000 / period : 0;
}

void container_cpu_set(struct container_cpu *cpu, const Grpc__LinuxResources *resources)
{
    if (!resources || !resources->cpu)
        return;
    const Grpc__LinuxCPU *given = resources->cpu;
    if (given->quota != 0)
        cpu->limit = given->quota > 0 && given->period > 0 ? processors(given->quota, given->period) : 0;
    if (resources->cpu->shares)
        cpu->shares = resources->cpu->shares;
    replace(&cpu->cpus, resources->cpu->cpus);
    replace(&cpu->mems, resources->cpu->mems);
}

void container_cpu_clear(struct container_cpu *cpu)
{
    free(cpu->cpus);
    free(cpu->mems);
    *cpu = (struct container_cpu){0};
}

/* A pod's own container does nothing, and its weight is made to say so. */
static uint64_t shares_of(const struct sandbox *sandbox)
{
    uint64_t sum = 0;
    const struct container *first = TAILQ_FIRST(&sandbox->containers);
    const struct container *container;
    TAILQ_FOREACH (container, &sandbox->containers, entry)
        if (container->kind == CONTAINER_OF_POD)
            sum += container->cpu.shares ? container->cpu.shares : SHARES_DEFAULT;
    return sum || !first ? sum : first->cpu.shares;
}

/* The kernel takes lists whose parts overlap. */
static void add_list(char **list, const char *more)
{
    if (!more)
        return;
    char *longer = *list ? must_printf("%s,%s", *list, more) : must_copy(more);
    free(*list);
    *list = longer;
}

struct error *sandbox_limit_cgroup(struct sandbox *sandbox, limit_cgroup *limit)
{
    _cleanup_free_ char *cpus = NULL, *mems = NULL;
    const struct container *container;
    if (!sandbox->cgroup)
        return NULL;
    TAILQ_FOREACH (container, &sandbox->containers, entry) {
        add_list(&cpus, container->cpu.cpus);
        add_list(&mems, container->cpu.mems);
    }
    const struct cgroup_limits limits = {.memory = growth_memory(sandbox) + HOST_MEMORY_OVERHEAD,
        .cpu_shares = shares_of(sandbox),
        .cpus = cpus,
        .mems = mems};
    return limit(sandbox->cgroup, &limits);
}

static struct container_cpu copy_cpu(const struct container_cpu *cpu)
{
    return (struct container_cpu){.limit = cpu->limit,
        .shares = cpu->shares,
        .cpus = must_copy_or_null(cpu->cpus),
        .mems = must_copy_or_null(cpu->mems)};
}

struct error *container_update_cpu(struct container *container, const Grpc__LinuxResources *resources)
{
    struct container_cpu before = copy_cpu(&container->cpu);
    container_cpu_set(&container->cpu, resources);
    struct error *error = sandbox_limit_cgroup(container->sandbox, cgroup_limit);
    if (error) {
        container_cpu_clear(&container->cpu);
        container->cpu = before;
        /* Some of it may hold in one hierarchy already. */
        error_free(sandbox_limit_cgroup(container->sandbox, cgroup_limit));
        return error_recode(error_wrap(error, "limiting the sandbox on the host"), ERROR_INVALID_ARGUMENT);
    }
    container_cpu_clear(&before);
    return NULL;
}
