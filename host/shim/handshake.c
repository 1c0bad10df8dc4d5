/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/handshake.h"

#include "proto/bootstrap.pb-c.h"
#include "shim/runtime_options.h"
#include "ttrpc/ttrpc.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#define HANDSHAKE_MAX (1u << 20)
/* Of the Task service and of what comes with it: the Sandbox API. */
#define TASK_VERSION 3

static bool is_ours(const Bootstrap__BootstrapParams *params, const struct shim_options *options)
{
    return strcmp(params->instance_id, options->id) == 0 &&
           strcmp(params->namespace_, options->namespace) == 0;
}

static void take_options(struct handshake *handshake, const Google__Protobuf__Any *any)
{
    if (!handshake->shim_cgroup)
        handshake->shim_cgroup = runtime_options_shim_cgroup(any);
}

static void take_params(struct handshake *handshake, const Bootstrap__BootstrapParams *params)
{
    handshake->reads_result = true;
    handshake->debug = params->log_level < BOOTSTRAP__LOG_LEVEL__LOG_LEVEL_INFO;
    if (*params->containerd_ttrpc_address)
        handshake->ttrpc_address = must_copy(params->containerd_ttrpc_address);
    for (size_t i = 0; i < params->n_extensions; i++)
        take_options(handshake, params->extensions[i]->value);
}

static void parse_options(struct handshake *handshake, const uint8_t *bytes, size_t length)
{
    Google__Protobuf__Any *any = google__protobuf__any__unpack(NULL, length, bytes);
    take_options(handshake, any);
    if (any)
        google__protobuf__any__free_unpacked(any, NULL);
}

struct handshake handshake_parse(const uint8_t *bytes, size_t length, const struct shim_options *options)
{
    struct handshake handshake = {0};
    Bootstrap__BootstrapParams *params = bootstrap__bootstrap_params__unpack(NULL, length, bytes);
    if (params && is_ours(params, options))
        take_params(&handshake, params);
    else
        parse_options(&handshake, bytes, length);
    if (params)
        bootstrap__bootstrap_params__free_unpacked(params, NULL);
    return handshake;
}

uint8_t *handshake_reply(const struct handshake *handshake, const char *address, size_t *ret_length)
{
    if (!handshake->reads_result) {
        *ret_length = strlen(address);
        return (uint8_t *)must_copy(address);
    }
    Bootstrap__BootstrapResult result = BOOTSTRAP__BOOTSTRAP_RESULT__INIT;
    result.version = TASK_VERSION;
    result.address = address;
    result.protocol = "ttrpc";
    return ttrpc_pack(&result.base, ret_length);
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
    free(handshake->shim_cgroup);
    *handshake = (struct handshake){0};
}
