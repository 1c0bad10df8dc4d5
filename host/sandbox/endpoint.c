/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/endpoint.h"

#include "base/fd.h"
#include "base/path.h"
#include "sandbox/address.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

const char *stream_name(enum stream_index index)
{
    static const char *const names[STREAM_COUNT] = {"standard input", "standard output", "standard error"};
    return names[index];
}

static struct error *open_end(const char *path, int flags, mode_t mode, int *ret_fd)
{
    int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, mode);
    if (fd < 0)
        return error_errno(errno, "opening %s", path);
    *ret_fd = fd;
    return NULL;
}

/* ---- fifos ---- */

/* A reader first: without one, opening the write end without blocking fails. */
static struct error *open_output_fifo(struct endpoint *endpoint, const char *path, enum stdio_style style)
{
    if (style == STDIO_LIKE_PIPES) {
        endpoint->fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        endpoint->watch_reader = endpoint->fd >= 0;
        if (endpoint->fd >= 0)
            return NULL;
        if (errno != ENXIO)
            return error_errno(errno, "opening %s", path);
    }
    TRY(open_end(path, O_RDONLY, 0, &endpoint->kept));
    return open_end(path, O_WRONLY, 0, &endpoint->fd);
}

static struct error *open_input_fifo(struct endpoint *endpoint, const char *path, enum stdio_style style)
{
    TRY(open_end(path, O_RDONLY, 0, &endpoint->fd));
    if (style == STDIO_KEEP_OPEN)
        endpoint->to_hold = must_copy(path);
    return NULL;
}

static struct error *open_fifo(
    struct endpoint *endpoint, const char *path, enum stream_index index, enum stdio_style style)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return error_errno(errno, "%s", path);
    if (!S_ISFIFO(status.st_mode))
        return error_new(ERROR_INVALID_ARGUMENT, "%s is not a fifo", path);
    return index == STREAM_IN ? open_input_fifo(endpoint, path, style)
                              : open_output_fifo(endpoint, path, style);
}

/* ---- files ---- */

/* containerd's shim makes missing directories, and logs that everybody may read. */
static struct error *open_file(
    struct endpoint *endpoint, const char *path, enum stream_index index, enum stdio_style style)
{
    if (index == STREAM_IN)
        return open_end(path, O_RDONLY, 0, &endpoint->fd);
    _cleanup_free_ char *parent = must_copy(path);
    *strrchr(parent, '/') = '\0';
    if (style == STDIO_KEEP_OPEN && *parent)
        TRY(directory_create_all(parent, 0755));
    mode_t mode = style == STDIO_KEEP_OPEN ? 0644 : 0600;
    return open_end(path, O_WRONLY | O_APPEND | O_CREAT, mode, &endpoint->fd);
}

/* Output that nobody asked for still has to go somewhere. */
static struct error *open_nowhere(struct endpoint *endpoint)
{
    return open_end("/dev/null", O_WRONLY, 0, &endpoint->fd);
}

/* ---- programs ---- */

static void take_logger_stream(struct endpoint *endpoint, int *stream)
{
    endpoint->fd = TAKE_FD(*stream);
    endpoint->kept = fcntl(endpoint->fd, F_DUPFD_CLOEXEC, 0);
    endpoint->watch_reader = true;
    endpoint->await_reader = endpoint->kept >= 0;
}

static bool is_logged(const struct stdio_options *options, enum stream_index index)
{
    const char *address = index == STREAM_OUT ? options->out : options->terminal ? NULL : options->error;
    return address && logger_is_meant(address);
}

/* Both outputs go to one program, for containerd's clients name the same one twice. */
static struct error *open_logger(
    const struct stdio_options *options, struct endpoint *endpoints, struct logger **ret_logger)
{
    const struct logger_owner owner = {options->container_id, options->exec_id ? options->exec_id : ""};
    bool out = is_logged(options, STREAM_OUT);
    bool error = is_logged(options, STREAM_ERROR);
    int streams[2] = {-1, -1};
    if (!out && !error)
        return NULL;
    if (!options->loggers)
        return error_new(
            ERROR_UNIMPLEMENTED, "%s is not supported here", out ? options->out : options->error);
    if (out && error && strcmp(options->out, options->error) != 0)
        return error_new(ERROR_UNIMPLEMENTED, "%s and %s: the two outputs have to go to the same program",
            options->out, options->error);
    TRY(logger_start(options->loggers, out ? options->out : options->error, &owner, streams, ret_logger));
    if (out)
        take_logger_stream(&endpoints[STREAM_OUT], &streams[0]);
    if (error)
        take_logger_stream(&endpoints[STREAM_ERROR], &streams[1]);
    close_fd(streams[0]);
    close_fd(streams[1]);
    return NULL;
}

/* ---- all of them ---- */

static struct error *open_endpoint(
    struct endpoint *endpoint, const char *text, enum stream_index index, enum stdio_style style)
{
    _cleanup_address_ struct address address = {0};
    TRY(address_parse(text, &address));
    if (strcmp(address.scheme, "file") == 0)
        return open_file(endpoint, address.path, index, style);
    if (strcmp(address.scheme, "fifo") == 0)
        return open_fifo(endpoint, address.path, index, style);
    return error_new(ERROR_UNIMPLEMENTED,
        "%s is not supported, only fifos, file://, binary:// and binary-v2:// addresses are", text);
}

static struct error *open_one(
    const struct stdio_options *options, struct endpoint *endpoint, enum stream_index index)
{
    const char *const addresses[STREAM_COUNT] = {options->in, options->out, options->error};
    bool unused = index == STREAM_ERROR && options->terminal;
    if (unused || endpoint->fd >= 0)
        return NULL;
    if (addresses[index] && *addresses[index])
        return open_endpoint(endpoint, addresses[index], index, options->style);
    return index == STREAM_IN ? NULL : open_nowhere(endpoint);
}

struct error *endpoints_open(const struct stdio_options *options, struct endpoint ret_endpoints[STREAM_COUNT],
    struct logger **ret_logger)
{
    for (unsigned i = 0; i < STREAM_COUNT; i++)
        ret_endpoints[i] = (struct endpoint){.fd = -1, .kept = -1};
    TRY(error_wrap(open_logger(options, ret_endpoints, ret_logger), "%s", stream_name(STREAM_OUT)));
    for (unsigned i = 0; i < STREAM_COUNT; i++)
        TRY(error_wrap(open_one(options, &ret_endpoints[i], i), "%s", stream_name(i)));
    return NULL;
}
