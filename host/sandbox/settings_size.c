/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's size. What limits a pod stands in annotations of its sandbox, as the kubelet knows it before
 * any container exists: containerd's (github.com/containerd/containerd internal/cri/annotations) or CRI-O's
 * (pod-linux-resources.crio.io, the CRI's LinuxContainerResources as JSON). What limits a container by itself
 * stands in its own configuration.
 */
#include "sandbox/settings_parts.h"

#include "base/json.h"
#include "base/parse.h"
#include "oci/config.h"

#include <string.h>

#define MEBIBYTE (1ull << 20)

/* 0: no limit. */
struct limits {
    int64_t quota;
    uint64_t period;
    int64_t memory;
};

/* ---- where they stand ---- */

/* A value that is no number is the front end's mistake: Kata and we go on without it. */
static void read_number(
    struct settings *settings, const Grpc__Spec *spec, const char *key, int64_t *ret_value)
{
    const char *text = oci_annotation(spec, key);
    if (!text)
        return;
    _cleanup_error_ struct error *error = parse_signed(key, text, INT64_MIN + 1, INT64_MAX, ret_value);
    if (error)
        settings_remark(settings, "%s; it is left aside", error_message(error));
}

static bool read_containerd(struct settings *settings, const Grpc__Spec *spec, struct limits *limits)
{
    static const char quota[] = "io.kubernetes.cri.sandbox-cpu-quota";
    static const char period[] = "io.kubernetes.cri.sandbox-cpu-period";
    static const char memory[] = "io.kubernetes.cri.sandbox-memory";
    int64_t value = 0;
    if (!oci_annotation(spec, quota) && !oci_annotation(spec, period) && !oci_annotation(spec, memory))
        return false;
    read_number(settings, spec, quota, &limits->quota);
    read_number(settings, spec, period, &value);
    read_number(settings, spec, memory, &limits->memory);
    limits->period = value > 0 ? (uint64_t)value : 0;
    return true;
}

static struct error *parse_crio(const char *name, const char *text, struct limits *limits)
{
    _cleanup_json_ json_t *root = NULL;
    int64_t period = 0;
    TRY(json_read(name, text, strlen(text), &root));
    if (!json_is_object(root))
        return error_new(ERROR_INVALID_ARGUMENT, "%s is no JSON object", name);
    TRY(json_get_integer(root, name, "cpu_quota", INT64_MIN, INT64_MAX, &limits->quota));
    TRY(json_get_integer(root, name, "cpu_period", 0, INT64_MAX, &period));
    TRY(json_get_integer(root, name, "memory_limit_in_bytes", INT64_MIN, INT64_MAX, &limits->memory));
    limits->period = (uint64_t)period;
    return NULL;
}

static bool read_crio(struct settings *settings, const Grpc__Spec *spec, struct limits *limits)
{
    /* The second one is the older name. */
    static const char *const names[] = {
        "pod-linux-resources.crio.io", "io.kubernetes.cri-o.PodLinuxResources"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *text = oci_annotation(spec, names[i]);
        if (!text || strcmp(text, "null") == 0)
            continue;
        _cleanup_error_ struct error *error = parse_crio(names[i], text, limits);
        if (!error)
            return true;
        *limits = (struct limits){0};
        settings_remark(settings, "%s; it is left aside", error_message(error));
    }
    return false;
}

static void read_own(const Grpc__Spec *spec, struct limits *limits)
{
    const Grpc__LinuxResources *resources = spec->linux_config ? spec->linux_config->resources : NULL;
    if (resources && resources->cpu) {
        limits->quota = resources->cpu->quota;
        limits->period = resources->cpu->period;
    }
    if (resources && resources->memory)
        limits->memory = resources->memory->limit;
}

static struct limits read_limits(struct settings *settings, const Grpc__Spec *spec)
{
    struct limits limits = {0};
    settings->limits_told = read_containerd(settings, spec, &limits) || read_crio(settings, spec, &limits);
    if (!settings->limits_told)
        read_own(spec, &limits);
    return limits;
}

/* ---- what they need ---- */

static uint64_t larger(uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

/* 0: any number. */
static uint64_t vcpus_needed(const struct limits *limits)
{
    if (limits->quota <= 0 || limits->period == 0)
        return 0;
    return ((uint64_t)limits->quota - 1) / limits->period + 1;
}

static void set_vcpus(
    struct settings *settings, const struct limits *limits, const struct settings_wishes *wishes)
{
    const struct class *class = settings->class;
    uint64_t needed = vcpus_needed(limits), vcpus = class->vcpus;
    if (needed > 0 && !wishes->vcpus_exact)
        vcpus = wishes->vcpus_least ? larger(needed, class->vcpus) : needed;
    unsigned most = SETTINGS_VCPUS_MAX;
    if (class->vcpus_max != CLASS_AUTO && class->vcpus_max < most)
        most = class->vcpus_max;
    if (vcpus > most) {
        settings_remark(settings, "a limit of %llu processors is met by %u: class %s allows no more",
            (unsigned long long)vcpus, most, class->name);
        vcpus = most;
    }
    settings->vcpus = (unsigned)vcpus;
    settings->vcpus_max = class->vcpus_max;
}

static uint64_t memory_needed(const struct settings *settings, const struct limits *limits)
{
    if (limits->memory <= 0)
        return 0;
    return larger((uint64_t)limits->memory + settings->class->memory_overhead, SETTINGS_MEMORY_MIN);
}

static struct error *too_much(const struct class *class, int64_t limit, uint64_t most)
{
    return error_new(ERROR_INVALID_ARGUMENT,
        "a memory limit of %lld bytes needs a machine of %llu with what its kernel uses; class %s allows "
        "%llu "
        "(memory_max)",
        (long long)limit, (unsigned long long)limit + class->memory_overhead, class->name,
        (unsigned long long)most);
}

static struct error *set_memory(
    struct settings *settings, const struct limits *limits, const struct settings_wishes *wishes)
{
    const struct class *class = settings->class;
    uint64_t needed = memory_needed(settings, limits), memory = class->memory;
    if (needed > 0 && !wishes->memory_exact)
        memory = wishes->memory_least ? larger(needed, class->memory) : needed;
    bool bounded = class->memory_max != CLASS_AUTO;
    uint64_t most = bounded ? class->memory_max : SETTINGS_MEMORY_MAX;
    if (memory > most)
        return too_much(class, limits->memory, most);
    settings->memory = (memory + MEBIBYTE - 1) / MEBIBYTE * MEBIBYTE;
    if (!bounded)
        most = larger(SETTINGS_MEMORY_GROWTH, 2 * settings->memory);
    settings->memory_max = larger(most / MEBIBYTE * MEBIBYTE, settings->memory);
    return NULL;
}

struct error *settings_size(
    struct settings *settings, const Grpc__Spec *spec, const struct settings_wishes *wishes)
{
    struct limits limits = read_limits(settings, spec);
    set_vcpus(settings, &limits, wishes);
    return set_memory(settings, &limits, wishes);
}
