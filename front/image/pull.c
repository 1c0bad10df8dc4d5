/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pulling: skopeo copies from the registry into an OCI layout in a temporary directory, which is then loaded.
 */
#include "image/load.h"

#include "base/fd.h"
#include "base/process.h"
#include "base/strv.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
    LINE_MAX_LENGTH = 1024,
    REPORT_MILLISECONDS = 200,
};

/* Credentials. */

static char *base64(const char *text)
{
    size_t length = strlen(text);
    char *encoded = must_alloc(4 * (length / 3 + 1) + 1);
    EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)text, (int)length);
    return encoded;
}

/* An authfile of skopeo's own form; on a command line every user of the machine could read them. */
static struct error *write_credentials(const char *path, const char *reference, const char *credentials)
{
    if (!strchr(credentials, ':'))
        return error_new(ERROR_INVALID_ARGUMENT, "credentials are written USER:PASSWORD");
    _cleanup_free_ char *registry = must_copy_length(reference, strcspn(reference, "/"));
    _cleanup_free_ char *encoded = base64(credentials);
    _cleanup_json_ json_t *root = json_pack("{s:{s:{s:s}}}", "auths", registry, "auth", encoded);
    _cleanup_free_ char *text = json_write(root);
    return file_replace(AT_FDCWD, path, text, strlen(text), 0600);
}

/* The command line. */

/* "name:tag@digest" is refused by skopeo: the digest says it all. */
static char *transport_reference(const char *reference)
{
    const char *at = strchr(reference, '@');
    const char *slash = strrchr(reference, '/');
    const char *colon = at && slash ? memchr(slash, ':', (size_t)(at - slash)) : NULL;
    return colon ? must_printf("docker://%.*s%s", (int)(colon - reference), reference, at)
                 : must_printf("docker://%s", reference);
}

static struct error *build_arguments(const char *reference, const struct image_pull_options *options,
    const char *temporary, char ***ret_arguments)
{
    _cleanup_strv_ char **arguments = NULL;
    strv_append(&arguments, "skopeo");
    strv_append(&arguments, "--override-os=linux");
    strv_append_printf(&arguments, "--override-arch=%s", architecture_here());
    strv_append(&arguments, "copy");
    if (options && options->credentials) {
        _cleanup_free_ char *authfile = must_printf("%s/auth.json", temporary);
        TRY(write_credentials(authfile, reference, options->credentials));
        strv_append_printf(&arguments, "--src-authfile=%s", authfile);
    } else if (options && options->authfile) {
        strv_append_printf(&arguments, "--src-authfile=%s", options->authfile);
    }
    if (options && options->tls_verify)
        strv_append_printf(&arguments, "--src-tls-verify=%s", options->tls_verify);
    strv_take(&arguments, transport_reference(reference));
    strv_append_printf(&arguments, "oci:%s/layout:image", temporary);
    *ret_arguments = TAKE_PTR(arguments);
    return NULL;
}

/* The transfer. */

struct transfer {
    int output; /* skopeo's stdout and stderr */
    pid_t pid;
    const char *temporary;
    struct progress *progress;
    char line[LINE_MAX_LENGTH]; /* the last one that said something */
    char partial[LINE_MAX_LENGTH];
    size_t length; /* of the partial one */
};

static uint64_t bytes_in(const char *path)
{
    _cleanup_dir_ DIR *directory = opendir(path);
    uint64_t bytes = 0;
    struct stat status;
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(status.st_mode))
            bytes += (uint64_t)status.st_size;
    return bytes;
}

static struct error *report(struct transfer *transfer)
{
    _cleanup_free_ char *layout = must_printf("%s/layout", transfer->temporary);
    _cleanup_free_ char *blobs = must_printf("%s/blobs/sha256", layout);
    transfer->progress->done = bytes_in(layout) + bytes_in(blobs);
    return progress_report(transfer->progress);
}

static void take_output(struct transfer *transfer, const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i] != '\n' && transfer->length < LINE_MAX_LENGTH - 1) {
            transfer->partial[transfer->length++] = data[i];
        } else if (data[i] == '\n' && transfer->length > 0) {
            transfer->partial[transfer->length] = '\0';
            memcpy(transfer->line, transfer->partial, transfer->length + 1);
            transfer->length = 0;
        }
    }
}

/* Reads until skopeo closes its output, which it does by ending. */
static struct error *follow(struct transfer *transfer)
{
    char data[4096];
    for (;;) {
        struct pollfd readable = {.fd = transfer->output, .events = POLLIN};
        TRY(report(transfer));
        if (poll(&readable, 1, REPORT_MILLISECONDS) <= 0)
            continue;
        ssize_t length = read(transfer->output, data, sizeof(data));
        if (length == 0)
            return NULL;
        if (length > 0)
            take_output(transfer, data, (size_t)length);
        else if (errno != EINTR)
            return error_errno(errno, "reading skopeo's messages");
    }
}

/* time="..." level=fatal msg="the sentence" -> the sentence; other lines stay as they are. */
static char *sentence_of(const char *line)
{
    const char *message = strstr(line, " msg=\"");
    if (!message)
        return must_copy(line);
    char *sentence = must_alloc(strlen(message) + 1);
    char *end = sentence;
    for (const char *place = message + strlen(" msg=\""); *place && *place != '"'; place++) {
        if (*place == '\\' && place[1])
            place++;
        *end++ = *place;
    }
    return sentence;
}

static struct error *start(struct transfer *transfer, char *const *arguments)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(errno, "starting skopeo");
    const struct process_fd fds[] = {{ends[1], 1}, {ends[1], 2}};
    const struct process_options options = {
        .arguments = arguments,
        .fds = fds,
        .fd_count = ARRAY_SIZE(fds),
        .die_with_parent = true,
    };
    struct error *error = process_spawn(&options, &transfer->pid);
    close_fd(ends[1]);
    transfer->output = ends[0];
    if (error_code(error) == ERROR_NOT_FOUND) {
        error_free(error);
        return error_new(ERROR_FAILED_PRECONDITION,
            "pulling needs skopeo, which is not installed (Debian: apt install skopeo)");
    }
    return error;
}

static struct error *run_skopeo(struct transfer *transfer, char *const *arguments)
{
    int status = 0;
    struct error *error = start(transfer, arguments);
    if (!error) {
        error = follow(transfer);
        if (error)
            kill(transfer->pid, SIGTERM);
        while (waitpid(transfer->pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    close_fd(transfer->output);
    if (error || status == 0)
        return error;
    _cleanup_free_ char *sentence = sentence_of(transfer->line);
    return error_new(ERROR_UNAVAILABLE, "skopeo failed: %s", *sentence ? sentence : "it gave no reason");
}

static struct error *load_pulled(
    struct image_store *store, const char *temporary, const char *reference, struct progress *progress)
{
    _cleanup_free_ char *layout = must_printf("%s/layout", temporary);
    _cleanup_files_ struct files *files = NULL;
    _cleanup_parts_ struct parts parts = {0};
    _cleanup_strv_ char **names = NULL;
    TRY(files_open_directory(layout, &files));
    TRY(parts_read(files, NULL, &parts));
    TRY(load_parts(store, files, &parts, progress));
    strv_append(&names, reference);
    return names_give(store, &parts.digest, names);
}

static struct error *transfer_and_load(struct image_store *store, const char *reference,
    const struct image_pull_options *options, struct progress *progress)
{
    __attribute__((cleanup(temporary_release))) struct temporary temporary = {.fd = -1};
    _cleanup_strv_ char **arguments = NULL;
    TRY(temporary_new(store, &temporary));
    TRY(build_arguments(reference, options, temporary.path, &arguments));
    struct transfer transfer = {.output = -1, .temporary = temporary.path, .progress = progress};
    TRY(progress_step(progress, 0, "pulling %s", reference));
    TRY(run_skopeo(&transfer, arguments));
    return load_pulled(store, temporary.path, reference, progress);
}

/* Every pull that succeeds writes the names anew. That the lock was held proves less: it may have been a
   sweep, or a pull that failed. */
static bool names_written_since(const struct image_store *store, const struct timespec *moment)
{
    _cleanup_free_ char *path = must_printf("%s/index.json", store->images);
    struct stat status;
    return stat(path, &status) == 0 &&
           (status.st_mtim.tv_sec > moment->tv_sec ||
               (status.st_mtim.tv_sec == moment->tv_sec && status.st_mtim.tv_nsec >= moment->tv_nsec));
}

struct error *image_pull(struct image_store *store, const char *text,
    const struct image_pull_options *options, const struct image_observer *observer, struct image **ret_image)
{
    _cleanup_progress_ struct progress progress = {.observer = observer};
    _cleanup_free_ char *reference = NULL;
    _cleanup_lock_ struct lock lock = LOCK_NONE;
    bool waited = false;
    struct timespec begun;
    clock_gettime(CLOCK_REALTIME_COARSE, &begun); /* the clock of file times */
    TRY(image_reference_normalise(text, &reference));
    struct digest key = digest_of(reference, strlen(reference));
    TRY(lock_take(store, "pull", digest_hex(&key), &progress, &lock, &waited));
    if (waited && names_written_since(store, &begun)) {
        struct error *error = image_resolve(store, reference, ret_image);
        if (error_code(error) != ERROR_NOT_FOUND)
            return error;
        error_free(error);
    }
    TRY(error_wrap(transfer_and_load(store, reference, options, &progress), "pulling %s", reference));
    return image_resolve(store, reference, ret_image);
}
