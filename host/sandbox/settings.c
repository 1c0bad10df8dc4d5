/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/settings.h"

#include "base/parse.h"
#include "base/strv.h"
#include "oci/config.h"

#include <arpa/inet.h>
#include <string.h>

#define PREFIX "io.caisson."
#define MEBIBYTE (1ull << 20)

static struct error *refuse(const char *key, const char *value, const char *reason)
{
    return error_new(ERROR_INVALID_ARGUMENT, "annotation " PREFIX "%s: \"%s\" %s", key, value, reason);
}

static const char *setting(const Grpc__Spec *spec, const char *key)
{
    _cleanup_free_ char *name = must_printf(PREFIX "%s", key);
    const char *value = oci_annotation(spec, name);
    return value && *value ? value : NULL;
}

static const Grpc__LinuxResources *resources_of(const Grpc__Spec *spec)
{
    return spec->linux_config ? spec->linux_config->resources : NULL;
}

static struct error *read_hypervisor(struct settings *settings, const Grpc__Spec *spec)
{
    const char *name = setting(spec, "hypervisor");
    if (name && strcmp(name, "auto") != 0 && !hv_by_name(name))
        return refuse("hypervisor", name, "is not a hypervisor that this build knows");
    settings->hypervisor = must_copy(name ? name : "auto");
    return NULL;
}

static unsigned vcpus_of_quota(const Grpc__LinuxResources *resources)
{
    const Grpc__LinuxCPU *cpu = resources ? resources->cpu : NULL;
    if (!cpu || cpu->quota <= 0 || cpu->period == 0)
        return 1;
    uint64_t vcpus = ((uint64_t)cpu->quota - 1) / cpu->period + 1;
    return vcpus < SETTINGS_VCPUS_MAX ? (unsigned)vcpus : SETTINGS_VCPUS_MAX;
}

static struct error *read_vcpus(struct settings *settings, const Grpc__Spec *spec)
{
    uint64_t vcpus = vcpus_of_quota(resources_of(spec));
    const char *text = setting(spec, "vcpus");
    if (text)
        TRY(parse_unsigned("annotation " PREFIX "vcpus", text, 1, SETTINGS_VCPUS_MAX, &vcpus));
    settings->vcpus = (unsigned)vcpus;
    return NULL;
}

static uint64_t memory_of_limit(const Grpc__LinuxResources *resources)
{
    int64_t limit = resources && resources->memory ? resources->memory->limit : 0;
    if (limit <= 0)
        return SETTINGS_MEMORY_DEFAULT;
    uint64_t memory = (uint64_t)limit + SETTINGS_MEMORY_OVERHEAD;
    return memory < SETTINGS_MEMORY_MIN ? SETTINGS_MEMORY_MIN : memory;
}

static struct error *read_memory(struct settings *settings, const Grpc__Spec *spec)
{
    uint64_t memory = memory_of_limit(resources_of(spec));
    const char *text = setting(spec, "memory");
    if (text) {
        TRY(parse_size("annotation " PREFIX "memory", text, &memory));
        if (memory < SETTINGS_MEMORY_MIN / 2)
            return refuse("memory", text, "is too little for a machine: 64m is the least");
    }
    if (memory > SETTINGS_MEMORY_MAX)
        return error_new(ERROR_INVALID_ARGUMENT,
            "a memory limit of %llu bytes is more than a machine can have",
            (unsigned long long)(memory - SETTINGS_MEMORY_OVERHEAD));
    settings->memory = (memory + MEBIBYTE - 1) / MEBIBYTE * MEBIBYTE;
    return NULL;
}

static struct error *read_scratch_size(struct settings *settings, const Grpc__Spec *spec)
{
    const char *text = setting(spec, "scratch-size");
    return text ? parse_size("annotation " PREFIX "scratch-size", text, &settings->scratch_size) : NULL;
}

static struct error *read_network(struct settings *settings, const Grpc__Spec *spec)
{
    const char *text = setting(spec, "network");
    if (text && strcmp(text, "user") == 0)
        settings->network = HV_NETWORK_USER;
    else if (text && strcmp(text, "none") != 0)
        return refuse("network", text, "is neither none nor user");
    return NULL;
}

static struct error *read_flag(const Grpc__Spec *spec, const char *key, bool *ret_flag)
{
    const char *text = setting(spec, key);
    if (!text)
        return NULL;
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return refuse(key, text, "is neither true nor false");
    *ret_flag = strcmp(text, "true") == 0;
    return NULL;
}

static bool is_address(const char *text)
{
    struct in6_addr address;
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

/* Takes "1.2.3.4:" or "[::1]:" from the front of the text. */
static struct error *take_address(char **text, const char *whole, char **ret_address)
{
    char *last = strrchr(*text, ':');
    if (!last || memchr(*text, ':', (size_t)(last - *text)) == NULL)
        return NULL; /* HOST:GUEST */
    char *end = **text == '[' ? strchr(*text, ']') : strchr(*text, ':');
    if (!end || (*end == ']' && end[1] != ':'))
        return refuse("ports", whole, "is not [IP:]HOST:GUEST[/tcp|udp]");
    char *start = **text == '[' ? *text + 1 : *text;
    _cleanup_free_ char *address = must_copy_length(start, (size_t)(end - start));
    if (!is_address(address))
        return refuse("ports", whole, "does not begin with an IP address");
    *text = *end == ']' ? end + 2 : end + 1;
    *ret_address = TAKE_PTR(address);
    return NULL;
}

static struct error *take_protocol(char *text, const char *whole, bool *ret_udp)
{
    char *slash = strchr(text, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    if (strcmp(slash + 1, "tcp") != 0 && strcmp(slash + 1, "udp") != 0)
        return refuse("ports", whole, "has a protocol other than tcp and udp");
    *ret_udp = strcmp(slash + 1, "udp") == 0;
    return NULL;
}

static struct error *read_port(const char *whole, struct hv_port *ret_port)
{
    _cleanup_free_ char *copy = must_copy(whole);
    _cleanup_free_ char *address = NULL;
    char *text = copy;
    bool udp = false;
    uint64_t host = 0;
    uint64_t guest = 0;
    TRY(take_protocol(text, whole, &udp));
    TRY(take_address(&text, whole, &address));
    char *colon = strchr(text, ':');
    if (!colon)
        return refuse("ports", whole, "is not [IP:]HOST:GUEST[/tcp|udp]");
    *colon = '\0';
    TRY(parse_unsigned("annotation " PREFIX "ports: host port", text, 1, UINT16_MAX, &host));
    TRY(parse_unsigned("annotation " PREFIX "ports: guest port", colon + 1, 1, UINT16_MAX, &guest));
    *ret_port = (struct hv_port){.udp = udp,
        .host_address = TAKE_PTR(address),
        .host_port = (uint16_t)host,
        .guest_port = (uint16_t)guest};
    return NULL;
}

static struct error *read_ports(struct settings *settings, const Grpc__Spec *spec)
{
    const char *text = setting(spec, "ports");
    if (!text)
        return NULL;
    if (settings->network == HV_NETWORK_NONE)
        return refuse("ports", text, "needs the annotation " PREFIX "network=user");
    _cleanup_strv_ char **ports = strv_split(text, ',');
    size_t count = strv_length(ports);
    if (count > SETTINGS_PORTS_MAX)
        return error_new(
            ERROR_INVALID_ARGUMENT, "annotation " PREFIX "ports: more than %d ports", SETTINGS_PORTS_MAX);
    settings->ports = must_alloc_array(count, sizeof(*settings->ports));
    for (size_t i = 0; i < count; i++) {
        TRY(read_port(ports[i], &settings->ports[i]));
        settings->port_count++;
    }
    return NULL;
}

static struct error *read_dns(struct settings *settings, const Grpc__Spec *spec)
{
    const char *text = setting(spec, "dns");
    if (!text)
        return NULL;
    settings->dns = strv_split(text, ',');
    STRV_FOREACH (server, settings->dns)
        if (!is_address(*server))
            return refuse("dns", *server, "is not an IP address");
    return NULL;
}

struct error *settings_read(const Grpc__Spec *spec, struct settings **ret_settings)
{
    _cleanup_settings_ struct settings *settings = must_new(struct settings);
    TRY(read_hypervisor(settings, spec));
    TRY(read_vcpus(settings, spec));
    TRY(read_memory(settings, spec));
    TRY(read_scratch_size(settings, spec));
    TRY(read_network(settings, spec));
    TRY(read_ports(settings, spec));
    TRY(read_dns(settings, spec));
    TRY(read_flag(spec, "debug", &settings->debug));
    *ret_settings = TAKE_PTR(settings);
    return NULL;
}

void settings_free(struct settings *settings)
{
    if (!settings)
        return;
    for (size_t i = 0; i < settings->port_count; i++)
        free((char *)(uintptr_t)settings->ports[i].host_address);
    free(settings->ports);
    strv_free(settings->dns);
    free(settings->hypervisor);
    free(settings);
}
