/* SPDX-License-Identifier: Apache-2.0 */
#include "client/shim.h"

#include "base/fd.h"
#include "base/process.h"
#include "base/strv.h"
#include "proto/task.pb-c.h"
#include "ttrpc/ttrpc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define NAMESPACE "caisson"
#define OUTPUT_LIMIT 4096
#define TIMEOUT_MS 10000 /* containerd gives 5 s for a loaded machine; a first start may read from a disk */
#define SCHEME "unix://"

/* One run of the shim program. */
struct shim_command {
    pid_t pid;
    int pipes[2]; /* what it writes to stdout and stderr; -1 once at the end */
    char text[2][OUTPUT_LIMIT];
    size_t length[2];
};

static void command_close(struct shim_command *command)
{
    close_fd(command->pipes[0]);
    close_fd(command->pipes[1]);
    if (command->pid <= 0)
        return;
    kill(command->pid, SIGKILL);
    waitpid(command->pid, NULL, 0);
}

#define _cleanup_command_ __attribute__((cleanup(command_close)))

static char **command_arguments(const struct directories *directories, const char *id, const char *shim,
    const char *self, const char *action)
{
    char **arguments = NULL;

    strv_append(&arguments, shim);
    strv_append(&arguments, "-namespace");
    strv_append(&arguments, NAMESPACE);
    strv_append(&arguments, "-address");
    strv_append(&arguments, directories->state);
    strv_append(&arguments, "-publish-binary");
    strv_append(&arguments, self);
    strv_append(&arguments, "-id");
    strv_append(&arguments, id);
    if (!strcmp(action, "delete")) {
        strv_append(&arguments, "-bundle");
        strv_take(&arguments, directories_bundle(directories, id));
    }
    if (getenv("CAISSON_DEBUG"))
        strv_append(&arguments, "-debug");
    strv_append(&arguments, action);
    return arguments;
}

/* In a session of its own, so that Ctrl-C at the terminal does not end it halfway. */
static struct error *command_spawn(
    struct shim_command *command, char **arguments, const char *directory, const int ends[2])
{
    const struct process_fd fds[] = {{.fd = ends[0], .child_fd = 1}, {.fd = ends[1], .child_fd = 2}};
    const struct process_options options = {
        .arguments = arguments,
        .directory = directory,
        .fds = fds,
        .fd_count = ARRAY_SIZE(fds),
        .new_session = true,
    };
    return process_spawn(&options, &command->pid);
}

static struct error *command_start(
    struct shim_command *command, const struct directories *directories, const char *id, const char *action)
{
    _cleanup_free_ char *shim = NULL, *self = NULL, *bundle = directories_bundle(directories, id);
    int out[2], err[2];

    TRY(program_shim(&shim));
    TRY(program_self(&self));
    if (pipe2(out, O_CLOEXEC) < 0)
        return error_errno(errno, "cannot make a pipe");
    command->pipes[0] = out[0];
    _cleanup_fd_ int out_end = out[1];
    if (pipe2(err, O_CLOEXEC) < 0)
        return error_errno(errno, "cannot make a pipe");
    command->pipes[1] = err[0];
    _cleanup_fd_ int err_end = err[1];
    _cleanup_strv_ char **arguments = command_arguments(directories, id, shim, self, action);
    return command_spawn(command, arguments, bundle, (int[]){out_end, err_end});
}

/* Reads what is there; what does not fit is dropped. */
static void command_read(struct shim_command *command, int which)
{
    char block[OUTPUT_LIMIT];
    ssize_t count = read(command->pipes[which], block, sizeof(block));

    if (count <= 0) {
        close_fd(TAKE_FD(command->pipes[which]));
        return;
    }
    size_t room = OUTPUT_LIMIT - 1 - command->length[which];
    size_t kept = (size_t)count < room ? (size_t)count : room;
    memcpy(command->text[which] + command->length[which], block, kept);
    command->length[which] += kept;
}

static int milliseconds_until(const struct timespec *deadline)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t left =
        (int64_t)(deadline->tv_sec - now.tv_sec) * 1000 + (deadline->tv_nsec - now.tv_nsec) / 1000000;
    return left > 0 ? (int)left : 0;
}

/* Until both pipes are at their end: the shim that stays behind keeps neither. */
static struct error *command_collect(struct shim_command *command)
{
    struct timespec deadline;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += TIMEOUT_MS / 1000;
    while (command->pipes[0] >= 0 || command->pipes[1] >= 0) {
        struct pollfd polls[2] = {
            {.fd = command->pipes[0], .events = POLLIN}, {.fd = command->pipes[1], .events = POLLIN}};
        int ready = poll(polls, 2, milliseconds_until(&deadline));
        if (ready == 0)
            return error_new(
                ERROR_DEADLINE_EXCEEDED, "the shim did not answer within %d s", TIMEOUT_MS / 1000);
        for (int which = 0; ready > 0 && which < 2; which++)
            if (polls[which].revents)
                command_read(command, which);
    }
    return NULL;
}

/* The last line of what the shim complained about. */
static const char *complaint(struct shim_command *command)
{
    char *text = command->text[1];
    size_t length = command->length[1];

    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == ' '))
        text[--length] = '\0';
    char *line = strrchr(text, '\n');
    return line ? line + 1 : text;
}

static struct error *command_finish(struct shim_command *command)
{
    int status = 0;

    TRY(command_collect(command));
    pid_t pid = command->pid;
    command->pid = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return error_errno(errno, "waiting for the shim");
    if (status == 0)
        return NULL;
    if (*complaint(command))
        return error_new(ERROR_UNAVAILABLE, "%s", complaint(command));
    return error_new(
        ERROR_UNAVAILABLE, "the shim failed with status %d and said nothing", process_exit_code(status));
}

static struct error *run_shim(
    const struct directories *directories, const char *id, const char *action, struct shim_command *command)
{
    TRY(command_start(command, directories, id, action));
    return command_finish(command);
}

struct error *shim_start(const struct directories *directories, const char *id, char **ret_address)
{
    _cleanup_command_ struct shim_command command = {.pipes = {-1, -1}};

    struct error *error = run_shim(directories, id, "start", &command);
    if (error)
        return error_wrap(error, "cannot start the container's shim");
    command.text[0][strcspn(command.text[0], "\n")] = '\0';
    if (strncmp(command.text[0], SCHEME, strlen(SCHEME)))
        return error_new(ERROR_INTERNAL, "the shim gave no address but \"%s\"%s%s", command.text[0],
            *complaint(&command) ? ": " : "", complaint(&command));
    *ret_address = must_copy(command.text[0]);
    return NULL;
}

struct error *shim_address(const struct directories *directories, const char *id, char **ret_address)
{
    _cleanup_free_ char *bundle = directories_bundle(directories, id);
    _cleanup_free_ char *path = must_printf("%s/address", bundle);
    _cleanup_free_ char *text = NULL;

    struct error *error = file_read(AT_FDCWD, path, OUTPUT_LIMIT, &text, NULL);
    if (error)
        return error;
    text[strcspn(text, "\n")] = '\0';
    *ret_address = TAKE_PTR(text);
    return NULL;
}

struct error *shim_connect(struct event_base *base, const char *address, struct ttrpc_client **ret_client)
{
    _cleanup_fd_ int fd = -1;

    if (strncmp(address, SCHEME, strlen(SCHEME)))
        return error_new(ERROR_INVALID_ARGUMENT, "the shim's address \"%s\" is not a unix socket", address);
    struct error *error = unix_connect(address + strlen(SCHEME), &fd);
    if (error)
        return error_recode(error_wrap(error, "the container's shim does not answer"), ERROR_UNAVAILABLE);
    return ttrpc_client_new(base, TAKE_FD(fd), NULL, NULL, ret_client);
}

struct error *shim_delete(const struct directories *directories, const char *id, struct shim_exit *ret_exit)
{
    _cleanup_command_ struct shim_command command = {.pipes = {-1, -1}};

    struct error *error = run_shim(directories, id, "delete", &command);
    if (error)
        return error_wrap(error, "cannot clean up after the container's shim");
    Task__DeleteResponse *response =
        task__delete_response__unpack(NULL, command.length[0], (const uint8_t *)command.text[0]);
    if (!response)
        return error_new(ERROR_DATA_LOSS, "what the shim says of the container's end cannot be read");
    ret_exit->status = response->exit_status;
    ret_exit->at =
        response->exited_at ? response->exited_at->seconds * 1000 + response->exited_at->nanos / 1000000 : 0;
    task__delete_response__free_unpacked(response, NULL);
    return NULL;
}
