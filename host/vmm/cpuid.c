/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/cpuid.h"

#include <string.h>

#define LEAF_FEATURES 1u
#define LEAF_CACHES 4u
#define LEAF_TOPOLOGY 0xbu
#define LEAF_TOPOLOGY_2 0x1fu
#define LEAF_AMD_SIZES 0x80000008u
#define LEAF_AMD_TOPOLOGY 0x8000001eu

#define FEATURE_DEADLINE_TIMER (1u << 24) /* leaf 1, ecx */
#define FEATURE_HYPERVISOR (1u << 31)
#define FEATURE_SEVERAL (1u << 28) /* leaf 1, edx: more than one processor in the package */

#define LEVEL_THREADS (1u << 8)
#define LEVEL_CORES (2u << 8)

struct place {
    unsigned number, processors;
    unsigned bits; /* of the numbers of all processors */
    bool deadline_timer;
};

static unsigned bits_for(unsigned count)
{
    unsigned bits = 0;
    while (1u << bits < count)
        bits++;
    return bits;
}

static void set_bits(uint32_t *value, unsigned shift, unsigned width, uint32_t bits)
{
    uint32_t mask = ((1u << width) - 1) << shift;
    *value = (*value & ~mask) | (bits << shift & mask);
}

static void fix_features(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
    set_bits(&entry->ebx, 16, 8, place->processors);
    set_bits(&entry->ebx, 24, 8, place->number);
    entry->ecx |= FEATURE_HYPERVISOR | (place->deadline_timer ? FEATURE_DEADLINE_TIMER : 0);
    if (place->processors > 1)
        entry->edx |= FEATURE_SEVERAL;
    else
        entry->edx &= ~FEATURE_SEVERAL;
}

/* The first two levels of caches are a core's own, the third is the package's. */
static void fix_caches(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
    unsigned level = entry->eax >> 5 & 7;
    if ((entry->eax & 0x1f) == 0)
        return;
    set_bits(&entry->eax, 14, 12, level >= 3 ? (1u << place->bits) - 1 : 0);
    set_bits(&entry->eax, 26, 6, (1u << place->bits) - 1);
}

static void fix_topology(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
    entry->eax = entry->ebx = 0;
    entry->ecx = entry->index;
    entry->edx = place->number;
    if (entry->index == 0) {
        entry->ebx = 1;
        entry->ecx |= LEVEL_THREADS;
    } else if (entry->index == 1) {
        entry->eax = place->bits;
        entry->ebx = place->processors;
        entry->ecx |= LEVEL_CORES;
    }
}

static void fix_amd_sizes(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
    set_bits(&entry->ecx, 0, 8, place->processors - 1);
    set_bits(&entry->ecx, 12, 4, place->bits);
}

static void fix_amd_topology(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
    entry->eax = place->number;
    entry->ebx = place->number; /* one thread a core */
    entry->ecx = 0;             /* one node */
}

static void fix(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
    switch (entry->function) {
    case LEAF_FEATURES:
        fix_features(entry, place);
        break;
    case LEAF_CACHES:
        fix_caches(entry, place);
        break;
    case LEAF_TOPOLOGY:
    case LEAF_TOPOLOGY_2:
        fix_topology(entry, place);
        break;
    case LEAF_AMD_SIZES:
        fix_amd_sizes(entry, place);
        break;
    case LEAF_AMD_TOPOLOGY:
        fix_amd_topology(entry, place);
        break;
    default:
        break;
    }
}

struct kvm_cpuid2 *cpuid_for_processor(
    const struct kvm_cpuid2 *offer, unsigned number, unsigned processors, bool deadline_timer)
{
    const struct place place = {number, processors, bits_for(processors), deadline_timer};
    size_t size = sizeof(*offer) + offer->nent * sizeof(offer->entries[0]);
    struct kvm_cpuid2 *cpuid = must_alloc(size);
    memcpy(cpuid, offer, size);
    for (uint32_t i = 0; i < cpuid->nent; i++)
        fix(&cpuid->entries[i], &place);
    return cpuid;
}
