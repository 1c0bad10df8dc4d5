/* SPDX-License-Identifier: Apache-2.0 */
#include "client/fifo.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Fewer, larger moves; the limit of an ordinary user is 1 MiB. */
#define FIFO_SIZE (256 << 10)

static struct error *open_stream(const char *path, int flags, int *ret_fd)
{
    int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return error_errno(errno, "cannot open the fifo %s", path);
    fcntl(fd, F_SETPIPE_SZ, FIFO_SIZE); /* only a matter of speed */
    *ret_fd = fd;
    return NULL;
}

static struct error *make_stream(
    const char *bundle, const char *prefix, const char *name, int flags, char **ret_path, int *ret_fd)
{
    _cleanup_free_ char *path = must_printf("%s/%s%s", bundle, prefix, name);

    if (mkfifo(path, 0600) < 0)
        return error_errno(errno, "cannot make the fifo %s", path);
    struct error *error = open_stream(path, flags, ret_fd);
    if (error)
        unlink(path);
    else
        *ret_path = TAKE_PTR(path);
    return error;
}

struct error *fifos_open(
    const char *bundle, const char *prefix, bool input, bool terminal, struct fifos **ret_fifos)
{
    _cleanup_fifos_ struct fifos *fifos = must_new(struct fifos);

    *fifos = (struct fifos){.input = -1, .output = -1, .errors = -1, .terminal = terminal};
    TRY(make_stream(bundle, prefix, "stdout", O_RDONLY, &fifos->output_path, &fifos->output));
    if (!terminal)
        TRY(make_stream(bundle, prefix, "stderr", O_RDONLY, &fifos->errors_path, &fifos->errors));
    if (input)
        TRY(make_stream(bundle, prefix, "stdin", O_RDWR, &fifos->input_path, &fifos->input));
    *ret_fifos = TAKE_PTR(fifos);
    return NULL;
}

struct task_io fifos_io(const struct fifos *fifos)
{
    return (struct task_io){
        .input = fifos->input_path ?: "",
        .output = fifos->output_path ?: "",
        .errors = fifos->errors_path ?: "",
        .terminal = fifos->terminal,
    };
}

struct error *fifos_started(struct fifos *fifos)
{
    _cleanup_fd_ int both = TAKE_FD(fifos->input);

    if (both < 0)
        return NULL;
    int fd = open(fifos->input_path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "cannot open the fifo %s", fifos->input_path);
    fifos->input = fd;
    return NULL;
}

static void drop_stream(char *path, int fd)
{
    close_fd(fd);
    if (path)
        unlink(path);
    free(path);
}

void fifos_free(struct fifos *fifos)
{
    if (!fifos)
        return;
    drop_stream(fifos->input_path, fifos->input);
    drop_stream(fifos->output_path, fifos->output);
    drop_stream(fifos->errors_path, fifos->errors);
    free(fifos);
}
