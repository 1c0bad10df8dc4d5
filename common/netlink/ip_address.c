/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink/ip_address.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <string.h>

struct error *ip_address_set_prefix(struct ip_address *address, const char *text)
{
    if (text[0] == '\0')
        return NULL;
    uint64_t prefix;
    TRY(error_recode(parse_unsigned("length of a network prefix", text, 0, address->length * 8u, &prefix),
        ERROR_INVALID_ARGUMENT));
    address->prefix = (uint8_t)prefix;
    return NULL;
}

struct error *ip_address_parse(const char *text, struct ip_address *ret_address)
{
    struct ip_address address = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
    address.length = address.family == AF_INET6 ? 16 : 4;
    address.prefix = (uint8_t)(address.length * 8);
    const char *slash = strchrnul(text, '/');
    _cleanup_free_ char *host = must_copy_length(text, (size_t)(slash - text));
    if (inet_pton(address.family, host, address.bytes) != 1)
        return error_new(ERROR_INVALID_ARGUMENT, "\"%.80s\" is not an IP address", text);
    if (*slash == '/')
        TRY(ip_address_set_prefix(&address, slash[1] ? slash + 1 : "x"));
    *ret_address = address;
    return NULL;
}

char *ip_address_text(int family, const void *bytes, size_t length)
{
    char text[INET6_ADDRSTRLEN] = "";
    if ((family == AF_INET && length == 4) || (family == AF_INET6 && length == 16))
        inet_ntop(family, bytes, text, sizeof(text));
    return must_copy(text);
}

struct error *hardware_address_parse(const char *text, uint8_t ret_address[HARDWARE_ADDRESS_SIZE])
{
    uint8_t bytes[HARDWARE_ADDRESS_SIZE];
    char after;
    if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &bytes[0], &bytes[1], &bytes[2], &bytes[3],
            &bytes[4], &bytes[5], &after) != HARDWARE_ADDRESS_SIZE)
        return error_new(ERROR_INVALID_ARGUMENT, "\"%.80s\" is not a hardware address", text);
    memcpy(ret_address, bytes, sizeof(bytes));
    return NULL;
}

char *hardware_address_text(const uint8_t *bytes, size_t length)
{
    if (length != HARDWARE_ADDRESS_SIZE)
        return must_copy("");
    return must_printf(
        "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]);
}
