/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/spec.h"

#include "base/json.h"
#include "base/strv.h"

#include <string.h>
#include <sys/sysinfo.h>

/* The period of CPU limits, in microseconds; docker's. */
#define CPU_PERIOD 100000
#define THOUSAND 1000
/* With less the kernel cannot even start a process. */
#define MEMORY_MIN (6u << 20)

/* As docker has them. */
static const char *const masked_paths[] = {"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore",
    "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"};
static const char *const readonly_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
/* The network's comes last: see build_namespaces. */
static const char *const namespaces[] = {"pid", "mount", "ipc", "uts", "cgroup", "network"};

static json_t *words(const char *const *list, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_string(list[i]));
    return array;
}

static json_t *build_namespaces(const char *network)
{
    json_t *array = json_array();

    for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
        json_array_append_new(array, json_pack("{s:s}", "type", namespaces[i]));
    if (!strncmp(network, SPEC_NAMESPACE, strlen(SPEC_NAMESPACE)))
        json_object_set_new(json_array_get(array, ARRAY_SIZE(namespaces) - 1), "path",
            json_string(network + strlen(SPEC_NAMESPACE)));
    return array;
}

/* ---- resources ---- */

/* All devices of the guest for a privileged container, otherwise docker's usual ones, by number: null, zero,
   full, random, urandom, tty, console, ptmx, pseudo-terminals, net/tun; and making nodes. */
static json_t *build_devices(bool privileged)
{
    static const struct {
        int major;
        int minor; /* -1: all */
        const char *access;
        const char *type;
    } usual[] = {{1, 3, "rwm", "c"}, {1, 5, "rwm", "c"}, {1, 7, "rwm", "c"}, {1, 8, "rwm", "c"},
        {1, 9, "rwm", "c"}, {5, 0, "rwm", "c"}, {5, 1, "rwm", "c"}, {5, 2, "rwm", "c"},
        {136, -1, "rwm", "c"}};
    json_t *array = json_array();

    if (privileged) {
        json_array_append_new(array, json_pack("{s:b, s:s}", "allow", true, "access", "rwm"));
        return array;
    }
    json_array_append_new(array, json_pack("{s:b, s:s}", "allow", false, "access", "rwm"));
    json_array_append_new(array, json_pack("{s:b, s:s, s:s}", "allow", true, "type", "c", "access", "m"));
    json_array_append_new(array, json_pack("{s:b, s:s, s:s}", "allow", true, "type", "b", "access", "m"));
    for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
        json_t *rule = json_pack("{s:b, s:s, s:s, s:i}", "allow", true, "type", usual[i].type, "access",
            usual[i].access, "major", usual[i].major);
        if (usual[i].minor >= 0)
            json_object_set_new(rule, "minor", json_integer(usual[i].minor));
        json_array_append_new(array, rule);
    }
    return array;
}

static json_t *build_cpu(const struct run_settings *settings)
{
    json_t *cpu = json_object();

    if (settings->cpus > 0) {
        json_object_set_new(cpu, "quota", json_integer((json_int_t)(settings->cpus * CPU_PERIOD / THOUSAND)));
        json_object_set_new(cpu, "period", json_integer(CPU_PERIOD));
    }
    if (settings->cpu_shares > 0)
        json_object_set_new(cpu, "shares", json_integer(settings->cpu_shares));
    return cpu;
}

/* As docker: more than there is would only be misread. Emulated processors, besides, wait for each other's
   locks where they are more than the real ones. */
static struct error *check_processors(const struct run_settings *settings)
{
    int online = get_nprocs();

    if (settings->cpus > (uint64_t)online * THOUSAND)
        return error_new(ERROR_INVALID_ARGUMENT, "--cpus: this machine has only %d", online);
    if (settings->vcpus > online)
        return error_new(ERROR_INVALID_ARGUMENT, "--vcpus: this machine has only %d processors", online);
    return NULL;
}

static struct error *build_resources(const struct run_settings *settings, json_t **ret_resources)
{
    _cleanup_json_ json_t *resources = json_pack("{s:o}", "devices", build_devices(settings->privileged));

    if (settings->memory > 0 && settings->memory < MEMORY_MIN)
        return error_new(ERROR_INVALID_ARGUMENT, "--memory: at least %um are needed", MEMORY_MIN >> 20);
    if (settings->memory > INT64_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "--memory is larger than any machine");
    TRY(check_processors(settings));
    if (settings->memory > 0)
        json_object_set_new(resources, "memory", json_pack("{s:I}", "limit", (json_int_t)settings->memory));
    if (settings->cpus > 0 || settings->cpu_shares > 0)
        json_object_set_new(resources, "cpu", build_cpu(settings));
    if (settings->pids > 0)
        json_object_set_new(resources, "pids", json_pack("{s:I}", "limit", (json_int_t)settings->pids));
    *ret_resources = TAKE_PTR(resources);
    return NULL;
}

/* ---- sysctl ---- */

static struct error *build_sysctl(const struct run_settings *settings, json_t **ret_sysctl)
{
    _cleanup_json_ json_t *object = json_object();

    STRV_FOREACH (assignment, settings->sysctls) {
        _cleanup_free_ char *name = must_copy_length(*assignment, strcspn(*assignment, "="));
        const char *value = strchr(*assignment, '=');
        if (!*name || !value || json_object_set_new(object, name, json_string(value + 1)) < 0)
            return error_new(ERROR_INVALID_ARGUMENT, "--sysctl %s: it is NAME=VALUE", *assignment);
    }
    *ret_sysctl = TAKE_PTR(object);
    return NULL;
}

struct error *spec_linux(const struct spec_input *input, json_t **ret_linux)
{
    _cleanup_json_ json_t *resources = NULL, *sysctl = NULL, *result = NULL;

    TRY(build_resources(input->settings, &resources));
    TRY(build_sysctl(input->settings, &sysctl));
    result = json_pack("{s:o, s:O, s:O}", "namespaces", build_namespaces(input->network), "resources",
        resources, "sysctl", sysctl);
    if (!input->settings->privileged) {
        json_object_set_new(result, "maskedPaths", words(masked_paths, ARRAY_SIZE(masked_paths)));
        json_object_set_new(result, "readonlyPaths", words(readonly_paths, ARRAY_SIZE(readonly_paths)));
    }
    if (input->seccomp)
        json_object_set_new(result, "seccomp", json_deep_copy(input->seccomp));
    *ret_linux = TAKE_PTR(result);
    return NULL;
}
