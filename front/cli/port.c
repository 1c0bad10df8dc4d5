/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/port.h"

#include "base/fd.h"
#include "base/parse.h"
#include "base/strv.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* As many as the virtual machine's user network is asked for at most. */
#define PORTS_MAX 256

struct range {
    uint64_t first;
    uint64_t last;
};

/* The parts of one option; pointers into a copy of it. */
struct port_option {
    const char *address; /* with its brackets, or NULL */
    const char *host;    /* or NULL: any free port */
    const char *guest;
    const char *protocol;
};

static struct error *refuse(const char *text)
{
    return error_new(ERROR_INVALID_ARGUMENT, "-p %s: it is [IP:]HOST:PORT[/udp] or PORT[/udp]", text);
}

static struct error *split(char *copy, const char *text, struct port_option *ret_option)
{
    struct port_option option = {.protocol = "tcp"};
    char *slash = strchr(copy, '/');
    char *colon;

    if (slash) {
        *slash = '\0';
        option.protocol = slash + 1;
    }
    if (strcmp(option.protocol, "tcp") && strcmp(option.protocol, "udp"))
        return error_new(ERROR_INVALID_ARGUMENT, "-p %s: the protocol is tcp or udp", text);
    option.guest = copy;
    if ((colon = strrchr(copy, ':'))) {
        *colon = '\0';
        option.guest = colon + 1;
        option.host = copy;
        if ((colon = strrchr(copy, ':'))) {
            *colon = '\0';
            option.host = *(colon + 1) ? colon + 1 : NULL;
            option.address = copy;
        }
    }
    *ret_option = option;
    return NULL;
}

static struct error *parse_range(const char *option, const char *text, struct range *ret_range)
{
    _cleanup_free_ char *what = must_printf("-p %s: port", option);
    _cleanup_free_ char *first = must_copy_length(text, strcspn(text, "-"));
    const char *last = strchr(text, '-') ? strchr(text, '-') + 1 : first;
    struct range range;

    TRY(parse_unsigned(what, first, 1, UINT16_MAX, &range.first));
    TRY(parse_unsigned(what, last, range.first, UINT16_MAX, &range.last));
    *ret_range = range;
    return NULL;
}

static struct error *check_address(const char *option, const char *address)
{
    unsigned char binary[sizeof(struct in6_addr)];
    size_t length = address ? strlen(address) : 0;

    if (!address || inet_pton(AF_INET, address, binary) == 1)
        return NULL;
    if (length > 2 && address[0] == '[' && address[length - 1] == ']') {
        _cleanup_free_ char *bare = must_copy_length(address + 1, length - 2);
        if (inet_pton(AF_INET6, bare, binary) == 1)
            return NULL;
    }
    return error_new(ERROR_INVALID_ARGUMENT, "-p %s: \"%s\" is not an IP address", option, address);
}

/* The kernel picks; between here and the virtual machine's own binding somebody could take it, which then is
   an error with its own sentence. */
static struct error *free_port(bool udp, uint64_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    _cleanup_fd_ int fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return error_errno(errno, "cannot find a free port");
    *ret_port = ntohs(address.sin_port);
    return NULL;
}

static struct error *add_one(
    const struct port_option *option, uint64_t host, uint64_t guest, char ***ret_ports)
{
    if (host == 0)
        TRY(free_port(!strcmp(option->protocol, "udp"), &host));
    if (strv_length(*ret_ports) >= PORTS_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "more than %d published ports", PORTS_MAX);
    strv_append_printf(ret_ports, "%s%s%lu:%lu/%s", option->address ?: "", option->address ? ":" : "", host,
        guest, option->protocol);
    return NULL;
}

static struct error *parse_one(const char *text, char ***ret_ports)
{
    _cleanup_free_ char *copy = must_copy(text);
    struct port_option option;
    struct range guest, host = {0};

    TRY(split(copy, text, &option));
    if (!*option.guest)
        return refuse(text);
    TRY(parse_range(text, option.guest, &guest));
    TRY(check_address(text, option.address));
    if (option.host)
        TRY(parse_range(text, option.host, &host));
    if (option.host && host.last - host.first != guest.last - guest.first)
        return error_new(ERROR_INVALID_ARGUMENT, "-p %s: the two ranges are not equally long", text);
    for (uint64_t i = 0; i <= guest.last - guest.first; i++)
        TRY(add_one(&option, option.host ? host.first + i : 0, guest.first + i, ret_ports));
    return NULL;
}

struct error *ports_parse(char *const *options, char ***ret_ports)
{
    _cleanup_strv_ char **ports = NULL;

    STRV_FOREACH (option, options)
        TRY(parse_one(*option, &ports));
    *ret_ports = TAKE_PTR(ports);
    return NULL;
}
