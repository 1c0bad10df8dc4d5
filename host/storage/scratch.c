/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/scratch.h"

#include "base/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SIZE_LEAST (UINT64_C(16) << 20)
#define SIZE_MOST (UINT64_C(16) << 40)
#define DISK_FD 3

struct scratch {
    int fd;
    int errors; /* mkfs's standard error */
    char *directory;
    bool durable;
    pid_t pid;
    struct process_watch *watch;
    scratch_done *done;
    void *context;
};

/* Some file systems have no nameless files; a name is then there for a moment only. */
static struct error *make_file(const char *directory, int *ret_fd)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        _cleanup_free_ char *path = must_printf("%s/.scratch-XXXXXX", directory);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
            unlink(path);
    }
    if (fd < 0)
        return error_errno(errno, "making a scratch disk in %s", directory);
    *ret_fd = fd;
    return NULL;
}

static char *find_mkfs(void)
{
    static const char *const places[] = {"/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4", "/usr/bin/mkfs.ext4"};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        if (access(places[i], X_OK) == 0)
            return must_copy(places[i]);
    }
    return NULL;
}

/* No eager tables, so that what is not written stays a hole on the host; no journal on a disk that does not
   outlive its machine. */
static struct error *spawn_mkfs(struct scratch *scratch)
{
    _cleanup_free_ char *program = find_mkfs();
    if (!program)
        return error_new(ERROR_NOT_FOUND, "mkfs.ext4 is not installed (Debian package e2fsprogs)");
    _cleanup_fd_ int errors_end = -1;
    TRY(unix_pair(&scratch->errors, &errors_end));
    char *const arguments[] = {program, (char[]){"-q"}, (char[]){"-F"}, (char[]){"-m"}, (char[]){"0"},
        (char[]){"-O"}, scratch->durable ? (char[]){"has_journal"} : (char[]){"^has_journal"}, (char[]){"-E"},
        (char[]){"nodiscard,lazy_itable_init=1,root_owner=0:0"}, (char[]){"/proc/self/fd/3"}, NULL};
    char *const environment[] = {(char[]){"PATH=/usr/sbin:/usr/bin"}, (char[]){"LC_ALL=C"}, NULL};
    const struct process_fd fds[] = {{scratch->fd, DISK_FD}, {errors_end, STDERR_FILENO}};
    const struct process_options options = {
        .arguments = arguments,
        .environment = environment,
        .fds = fds,
        .fd_count = ARRAY_SIZE(fds),
        .die_with_parent = true,
    };
    return process_spawn(&options, &scratch->pid);
}

/* The last line of what mkfs complained about. */
static char *complaint(int errors)
{
    char text[1024];
    error_free(fd_set_nonblocking(errors, true));
    ssize_t length = read(errors, text, sizeof(text) - 1);
    while (length > 0 && strchr("\n\r ", text[length - 1]))
        length--;
    if (length <= 0)
        return must_copy("it said nothing");
    text[length] = '\0';
    const char *newline = strrchr(text, '\n');
    return must_copy(newline ? newline + 1 : text);
}

static void on_exited(void *context, int status)
{
    struct scratch *scratch = context;
    scratch->pid = 0;
    struct error *error = NULL;
    if (status != 0) {
        _cleanup_free_ char *text = complaint(scratch->errors);
        bool full = strstr(text, "No space left") != NULL;
        error = error_new(full ? ERROR_RESOURCE_EXHAUSTED : ERROR_INTERNAL, "making a scratch disk in %s: %s",
            scratch->directory, full ? "the host's disk is full" : text);
    }
    scratch->done(scratch->context, error, error ? -1 : TAKE_FD(scratch->fd));
}

static struct error *format(struct scratch *scratch, struct event_base *base)
{
    TRY(spawn_mkfs(scratch));
    return process_watch_new(base, scratch->pid, on_exited, scratch, &scratch->watch);
}

static struct error *begin(struct scratch *scratch, struct event_base *base, uint64_t size)
{
    TRY(make_file(scratch->directory, &scratch->fd));
    if (ftruncate(scratch->fd, (off_t)size) < 0)
        return error_errno(errno, "a scratch disk of %" PRIu64 " bytes in %s", size, scratch->directory);
    return format(scratch, base);
}

static struct scratch *make(const char *directory, int fd, scratch_done *done, void *context)
{
    struct scratch *scratch = must_new(struct scratch);
    *scratch = (struct scratch){
        .fd = fd, .errors = -1, .directory = must_copy(directory), .done = done, .context = context};
    return scratch;
}

struct error *scratch_new(struct event_base *base, const char *directory, uint64_t size, scratch_done *done,
    void *context, struct scratch **ret_scratch)
{
    if (size < SIZE_LEAST || size > SIZE_MOST)
        return error_new(ERROR_INVALID_ARGUMENT,
            "a scratch disk of %" PRIu64 " bytes: it must be between 16 MiB and 16 TiB", size);
    struct scratch *scratch = make(directory, -1, done, context);
    struct error *error = begin(scratch, base, size);
    if (error)
        scratch_free(scratch);
    else
        *ret_scratch = scratch;
    return error;
}

struct error *scratch_format(
    struct event_base *base, int fd, scratch_done *done, void *context, struct scratch **ret_scratch)
{
    struct scratch *scratch = make("the snapshotter's directory", fd, done, context);
    scratch->durable = true;
    struct error *error = format(scratch, base);
    if (error)
        scratch_free(scratch);
    else
        *ret_scratch = scratch;
    return error;
}

void scratch_free(struct scratch *scratch)
{
    if (!scratch)
        return;
    process_watch_free(scratch->watch);
    if (scratch->pid > 0) {
        kill(scratch->pid, SIGKILL);
        while (waitpid(scratch->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    close_fd(scratch->fd);
    close_fd(scratch->errors);
    free(scratch->directory);
    free(scratch);
}
