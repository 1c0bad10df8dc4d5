/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/resolver.h"

#include "base/fd.h"
#include "base/strv.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>

#define HOST_FILE "/etc/resolv.conf"
#define FILE_LIMIT 65536
#define USER_NETWORK_SERVER "10.0.2.3"

static struct error *add_servers(char *const *servers, char ***ret_lines)
{
    unsigned char address[sizeof(struct in6_addr)];

    STRV_FOREACH (server, servers) {
        if (inet_pton(AF_INET, *server, address) != 1 && inet_pton(AF_INET6, *server, address) != 1)
            return error_new(ERROR_INVALID_ARGUMENT, "--dns %s is not an IP address", *server);
        strv_append_printf(ret_lines, "nameserver %s", *server);
    }
    return NULL;
}

/* A host without the file has no search domains. */
static void add_search(char ***ret_lines)
{
    _cleanup_free_ char *text = NULL;
    char *rest, *line;

    error_free(file_read(AT_FDCWD, HOST_FILE, FILE_LIMIT, &text, NULL));
    rest = text;
    while (rest && (line = strsep(&rest, "\n")))
        if (!strncmp(line, "search ", 7) || !strncmp(line, "options ", 8))
            strv_append(ret_lines, line);
}

struct error *resolver_text(const char *network, char *const *servers, char **ret_text)
{
    _cleanup_strv_ char **lines = NULL;
    bool connected = !strcmp(network, "user");

    TRY(add_servers(servers, &lines));
    if (!servers && connected)
        strv_append(&lines, "nameserver " USER_NETWORK_SERVER);
    if (connected)
        add_search(&lines);
    *ret_text = NULL;
    if (!lines)
        return NULL;
    strv_append(&lines, "");
    *ret_text = strv_join(lines, "\n");
    return NULL;
}
