/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/copy_file.h"

#include "base/path.h"
#include "base/strv.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define COPY_ROOT "/run"

/* Where the object goes: a directory below /run and a name in it. */
struct copy_target {
    int parent;
    char *name;
    char *partial; /* name of the hidden file that collects the pieces */
};

static void copy_target_clear(struct copy_target *target)
{
    close_fd(target->parent);
    free(target->name);
    free(target->partial);
}
#define _cleanup_copy_target_ __attribute__((cleanup(copy_target_clear)))

static struct error *check_request(const Grpc__CopyFileRequest *request)
{
    if (strncmp(request->path, COPY_ROOT "/", strlen(COPY_ROOT) + 1) != 0 ||
        strlen(request->path) >= PATH_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "files can only be copied below " COPY_ROOT);
    if (request->offset < 0 || request->file_size < 0 || request->offset > request->file_size ||
        (int64_t)request->data.len > request->file_size - request->offset)
        return error_new(ERROR_INVALID_ARGUMENT, "%zu bytes at %lld are not part of a file of %lld bytes",
            request->data.len, (long long)request->offset, (long long)request->file_size);
    return NULL;
}

/* Opens the directory `name` in `parent` as seen from the root, making it where it is missing. */
static struct error *enter(int root, char **path, const char *name, mode_t mode, int *directory)
{
    char *longer = must_printf("%s%s/", *path, name);
    free(*path);
    *path = longer;
    if (mkdirat(*directory, name, mode) < 0 && errno != EEXIST)
        return error_errno(errno, "making the directory %s", *path);
    int next;
    TRY(open_in_root(root, *path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, &next));
    close_fd(*directory);
    *directory = next;
    return NULL;
}

/* "." and empty components say nothing; ".." is refused, though the root would hold it. */
static struct error *split_path(const char *path, char ***ret_names)
{
    _cleanup_strv_ char **pieces = strv_split(path, '/');
    _cleanup_strv_ char **names = NULL;
    STRV_FOREACH (piece, pieces) {
        if (strcmp(*piece, "..") == 0)
            return error_new(ERROR_INVALID_ARGUMENT, "the path has a component that leads upwards");
        if (**piece != '\0' && strcmp(*piece, ".") != 0)
            strv_append(&names, *piece);
    }
    if (strv_length(names) == 0)
        return error_new(ERROR_INVALID_ARGUMENT, "the path names no file");
    *ret_names = TAKE_PTR(names);
    return NULL;
}

static struct error *find_target(const Grpc__CopyFileRequest *request, struct copy_target *ret_target)
{
    _cleanup_strv_ char **names = NULL;
    TRY(split_path(request->path + strlen(COPY_ROOT), &names));
    _cleanup_fd_ int root = open(COPY_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
    _cleanup_fd_ int directory = fcntl(root, F_DUPFD_CLOEXEC, 0);
    if (root < 0 || directory < 0)
        return error_errno(errno, COPY_ROOT);
    mode_t mode = request->dir_mode ? request->dir_mode & 07777 : 0755;
    _cleanup_free_ char *path = must_copy("");
    char **name = names;
    for (; name[1]; name++)
        TRY(enter(root, &path, *name, mode, &directory));
    *ret_target = (struct copy_target){
        .parent = TAKE_FD(directory), .name = must_copy(*name), .partial = must_printf(".%s.partial", *name)};
    return NULL;
}

static struct error *set_owner(int parent, const char *name, const Grpc__CopyFileRequest *request)
{
    if (fchownat(parent, name, (uid_t)request->uid, (gid_t)request->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(errno, "giving it to %d:%d", request->uid, request->gid);
    return NULL;
}

static struct error *make_directory(const struct copy_target *target, const Grpc__CopyFileRequest *request)
{
    if (mkdirat(target->parent, target->name, request->file_mode & 07777) < 0 && errno != EEXIST)
        return error_errno(errno, "making the directory");
    _cleanup_fd_ int fd =
        openat(target->parent, target->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, request->file_mode & 07777) < 0)
        return error_errno(errno, "making the directory");
    return set_owner(target->parent, target->name, request);
}

static struct error *make_link(const struct copy_target *target, const Grpc__CopyFileRequest *request)
{
    if (request->data.len == 0 || request->data.len >= PATH_MAX ||
        memchr(request->data.data, '\0', request->data.len))
        return error_new(ERROR_INVALID_ARGUMENT, "the target of the link is not a path");
    _cleanup_free_ char *to = must_copy_length((const char *)request->data.data, request->data.len);
    unlinkat(target->parent, target->partial, 0);
    if (symlinkat(to, target->parent, target->partial) < 0 ||
        renameat(target->parent, target->partial, target->parent, target->name) < 0)
        return error_errno(errno, "making the link");
    return set_owner(target->parent, target->name, request);
}

static struct error *write_piece(int fd, const Grpc__CopyFileRequest *request)
{
    const uint8_t *data = request->data.data;
    size_t done = 0;
    while (done < request->data.len) {
        ssize_t written = pwrite(fd, data + done, request->data.len - done, request->offset + (off_t)done);
        if (written < 0 && errno != EINTR)
            return error_errno(errno, "writing at %lld", (long long)request->offset);
        done += written > 0 ? (size_t)written : 0;
    }
    return NULL;
}

/* Pieces come in order, so a gap means that one was lost. */
static struct error *open_partial(
    const struct copy_target *target, const Grpc__CopyFileRequest *request, int *ret_fd)
{
    /* O_NONBLOCK: somebody may have put a fifo there. */
    int flags = O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    if (request->offset == 0)
        flags |= O_CREAT | O_TRUNC;
    _cleanup_fd_ int fd = openat(target->parent, target->partial, flags, 0600);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_errno(errno, "the piece at %lld", (long long)request->offset);
    if (!S_ISREG(status.st_mode) || request->offset > status.st_size)
        return error_new(ERROR_FAILED_PRECONDITION, "the piece at %lld came before the one at %lld",
            (long long)request->offset, (long long)status.st_size);
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

static struct error *write_file(const struct copy_target *target, const Grpc__CopyFileRequest *request)
{
    _cleanup_fd_ int fd = -1;
    TRY(open_partial(target, request, &fd));
    struct error *error = write_piece(fd, request);
    if (!error && request->offset + (int64_t)request->data.len < request->file_size)
        return NULL;
    if (!error)
        error = set_owner(target->parent, target->partial, request);
    /* After the owner, whose change takes set-id bits away. */
    if (!error && fchmod(fd, request->file_mode & 07777) < 0)
        error = error_errno(errno, "setting the mode");
    if (!error && renameat(target->parent, target->partial, target->parent, target->name) < 0)
        error = error_errno(errno, "giving the file its name");
    if (error)
        unlinkat(target->parent, target->partial, 0);
    return error;
}

struct error *copy_file_chunk(const Grpc__CopyFileRequest *request)
{
    TRY(check_request(request));
    _cleanup_copy_target_ struct copy_target target = {.parent = -1};
    TRY(find_target(request, &target));
    switch (request->file_mode & S_IFMT) {
    case S_IFDIR:
        return make_directory(&target, request);
    case S_IFLNK:
        return make_link(&target, request);
    case S_IFREG:
    case 0:
        return write_file(&target, request);
    default:
        return error_new(ERROR_INVALID_ARGUMENT,
            "only files, directories and links can be copied, not mode %o", request->file_mode);
    }
}
