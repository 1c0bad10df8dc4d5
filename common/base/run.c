/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include "base/fd.h"
#include "base/tail.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define ERRORS_KEPT 4096

void process_result_clear(struct process_result *result)
{
    free(result->output);
    free(result->errors);
    *result = (struct process_result){0};
}

static struct error *keep_output(struct process_result *result, size_t limit, const char *data, size_t count)
{
    if (result->output_length + count > limit)
        return error_new(ERROR_OUT_OF_RANGE, "it printed more than %zu bytes", limit);
    result->output = must_resize(result->output, result->output_length + count + 1, 1);
    memcpy(result->output + result->output_length, data, count);
    result->output_length += count;
    result->output[result->output_length] = '\0';
    return NULL;
}

/* Reads both pipes until each has ended. */
static struct error *collect(struct pollfd pipes[2], size_t limit, struct process_result *result)
{
    size_t errors_length = 0;
    char block[ERRORS_KEPT];
    while (pipes[0].fd >= 0 || pipes[1].fd >= 0) {
        if (poll(pipes, 2, -1) < 0 && errno != EINTR)
            return error_errno(errno, "waiting for output");
        for (int i = 0; i < 2; i++) {
            if (pipes[i].fd < 0 || !pipes[i].revents)
                continue;
            ssize_t count = read(pipes[i].fd, block, sizeof(block));
            if (count > 0 && i == 0)
                TRY(keep_output(result, limit, block, (size_t)count));
            else if (count > 0)
                tail_add(result->errors, ERRORS_KEPT, &errors_length, block, (size_t)count);
            else if (count == 0 || (errno != EINTR && errno != EAGAIN))
                pipes[i].fd = -1;
        }
    }
    return NULL;
}

struct error *process_run(
    const struct process_options *options, size_t output_limit, struct process_result *ret_result)
{
    _cleanup_fd_ int output = -1, output_end = -1, errors = -1, errors_end = -1;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(errno, "starting %s", options->arguments[0]);
    output = ends[0], output_end = ends[1];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(errno, "starting %s", options->arguments[0]);
    errors = ends[0], errors_end = ends[1];

    struct process_fd fds[32];
    if (options->fd_count + 2 > ARRAY_SIZE(fds))
        return error_new(ERROR_INVALID_ARGUMENT, "too many descriptors for %s", options->arguments[0]);
    for (size_t i = 0; i < options->fd_count; i++)
        fds[i] = options->fds[i];
    fds[options->fd_count] = (struct process_fd){output_end, 1};
    fds[options->fd_count + 1] = (struct process_fd){errors_end, 2};
    struct process_options piped = *options;
    piped.fds = fds;
    piped.fd_count = options->fd_count + 2;

    pid_t pid;
    TRY(process_spawn(&piped, &pid));
    close_fd(TAKE_FD(output_end));
    close_fd(TAKE_FD(errors_end));
    struct process_result result = {.output = must_copy(""), .errors = must_alloc(ERRORS_KEPT + 1)};
    struct pollfd pipes[2] = {{.fd = output, .events = POLLIN}, {.fd = errors, .events = POLLIN}};
    struct error *error = collect(pipes, output_limit, &result);
    if (error)
        kill(pid, SIGKILL);
    while (waitpid(pid, &result.status, 0) < 0 && errno == EINTR) {
    }
    if (error) {
        process_result_clear(&result);
        return error_wrap(error, "%s", options->arguments[0]);
    }
    *ret_result = result;
    return NULL;
}

/* The last line that says something; cuts the text. */
static const char *last_line(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && strchr("\n\r ", text[length - 1]))
        text[--length] = '\0';
    char *newline = strrchr(text, '\n');
    return newline ? newline + 1 : text;
}

struct error *process_run_checked(
    const struct process_options *options, size_t output_limit, char **ret_output)
{
    struct process_result result = {0};
    TRY(process_run(options, output_limit, &result));
    struct error *error = NULL;
    if (WIFSIGNALED(result.status))
        error = error_new(
            ERROR_ABORTED, "%s was ended by signal %d", options->arguments[0], WTERMSIG(result.status));
    else if (result.status != 0)
        error = error_new(ERROR_UNKNOWN, "%s failed (exit code %d): %s", options->arguments[0],
            WEXITSTATUS(result.status), last_line(result.errors));
    else if (ret_output)
        *ret_output = TAKE_PTR(result.output);
    process_result_clear(&result);
    return error;
}
