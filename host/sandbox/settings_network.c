/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/settings_parts.h"

#include "base/parse.h"
#include "base/strv.h"

#include <arpa/inet.h>
#include <string.h>

static struct error *read_network(struct settings *settings, const Grpc__Spec *spec)
{
    const char *text = settings_annotation(spec, "network");
    if (text && strcmp(text, "user") == 0)
        settings->network = HV_NETWORK_USER;
    else if (text && strcmp(text, "none") != 0)
        return settings_refuse("network", text, "is neither none nor user");
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
        return settings_refuse("ports", whole, "is not [IP:]HOST:GUEST[/tcp|udp]");
    char *start = **text == '[' ? *text + 1 : *text;
    _cleanup_free_ char *address = must_copy_length(start, (size_t)(end - start));
    if (!is_address(address))
        return settings_refuse("ports", whole, "does not begin with an IP address");
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
        return settings_refuse("ports", whole, "has a protocol other than tcp and udp");
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
        return settings_refuse("ports", whole, "is not [IP:]HOST:GUEST[/tcp|udp]");
    *colon = '\0';
    TRY(parse_unsigned("annotation " SETTINGS_PREFIX "ports: host port", text, 1, UINT16_MAX, &host));
    TRY(parse_unsigned("annotation " SETTINGS_PREFIX "ports: guest port", colon + 1, 1, UINT16_MAX, &guest));
    *ret_port = (struct hv_port){.udp = udp,
        .host_address = TAKE_PTR(address),
        .host_port = (uint16_t)host,
        .guest_port = (uint16_t)guest};
    return NULL;
}

static struct error *read_ports(struct settings *settings, const Grpc__Spec *spec)
{
    const char *text = settings_annotation(spec, "ports");
    if (!text)
        return NULL;
    if (settings->network == HV_NETWORK_NONE)
        return settings_refuse("ports", text, "needs the annotation " SETTINGS_PREFIX "network=user");
    _cleanup_strv_ char **ports = strv_split(text, ',');
    size_t count = strv_length(ports);
    if (count > SETTINGS_PORTS_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "annotation " SETTINGS_PREFIX "ports: more than %d ports",
            SETTINGS_PORTS_MAX);
    settings->ports = must_alloc_array(count, sizeof(*settings->ports));
    for (size_t i = 0; i < count; i++) {
        TRY(read_port(ports[i], &settings->ports[i]));
        settings->port_count++;
    }
    return NULL;
}

static struct error *read_dns(struct settings *settings, const Grpc__Spec *spec)
{
    const char *text = settings_annotation(spec, "dns");
    if (!text)
        return NULL;
    settings->dns = strv_split(text, ',');
    STRV_FOREACH (server, settings->dns)
        if (!is_address(*server))
            return settings_refuse("dns", *server, "is not an IP address");
    return NULL;
}

struct error *settings_network(struct settings *settings, const Grpc__Spec *spec)
{
    TRY(read_network(settings, spec));
    TRY(read_ports(settings, spec));
    return read_dns(settings, spec);
}
