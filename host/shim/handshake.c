/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/handshake.h"

#include "proto/bootstrap.pb-c.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#define HANDSHAKE_MAX (1u << 20)

static bool is_ours(const Bootstrap__BootstrapParams *params, const struct shim_options *options)
{
    return strcmp(params->instance_id, options->id) == 0 &&
           strcmp(params->namespace_, options->namespace) == 0;
}

struct handshake handshake_parse(const uint8_t *bytes, size_t length, const struct shim_options *options)
{
    struct handshake handshake = {0};
    Bootstrap__BootstrapParams *params = bootstrap__bootstrap_params__unpack(NULL, length, bytes);
    if (params && is_ours(params, options)) {
        handshake.debug = params->log_level < BOOTSTRAP__LOG_LEVEL__LOG_LEVEL_INFO;
        if (*params->containerd_ttrpc_address)
            handshake.ttrpc_address = must_copy(params->containerd_ttrpc_address);
    }
    if (params)
        bootstrap__bootstrap_params__free_unpacked(params, NULL);
    return handshake;
}

/* A terminal or a socket is nobody's handshake, and could be waited for without end. */
static bool carries_handshake(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode));
}

struct handshake handshake_read(int fd, const struct shim_options *options)
{
    _cleanup_free_ uint8_t *bytes = must_alloc(HANDSHAKE_MAX);
    size_t length = 0;
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    if (!carries_handshake(fd))
        return (struct handshake){0};
    while (length < HANDSHAKE_MAX && poll(&waiting, 1, HANDSHAKE_MILLISECONDS) > 0) {
        ssize_t count = read(fd, bytes + length, HANDSHAKE_MAX - length);
        if (count <= 0)
            break;
        length += (size_t)count;
    }
    return handshake_parse(bytes, length, options);
}

void handshake_clear(struct handshake *handshake)
{
    free(handshake->ttrpc_address);
    *handshake = (struct handshake){0};
}
