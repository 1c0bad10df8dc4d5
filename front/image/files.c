/* SPDX-License-Identifier: Apache-2.0 */
#include "image/files.h"

#include "image/blob.h"
#include "image/builder.h"
#include "image/tar.h"

#include "base/fd.h"
#include "base/path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum {
    FILES_MAX = 16384,
    LINKS_MAX = 8,
    PIECE = 128 * 1024,
};

/* A name in an archive and where its bytes stand, or where it points to. */
struct archive_file {
    char *name;
    char *link; /* NULL: a file */
    uint64_t offset;
    uint64_t size;
};

/* Either a layout's directory, or the bytes of an archive: itself, or a copy of what was in it. */
struct files {
    int directory;
    int bytes;
    uint64_t spooled; /* length of the copy so far */
    struct archive_file *entries;
    size_t count;
};

struct error *files_open_directory(const char *path, struct files **ret_files)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return error_errno(errno, "opening the directory");
    struct files *files = must_new(struct files);
    *files = (struct files){.directory = directory, .bytes = -1};
    *ret_files = files;
    return NULL;
}

void files_free(struct files *files)
{
    if (!files)
        return;
    for (size_t i = 0; i < files->count; i++) {
        free(files->entries[i].name);
        free(files->entries[i].link);
    }
    free(files->entries);
    close_fd(files->directory);
    close_fd(files->bytes);
    free(files);
}

/* Names in an archive. */

/* "a/./b/../c" -> "a/c", seen from the directory part of `base` unless absolute; above the root is the root.
 */
static char *resolve_name(const char *base, const char *name)
{
    const char *slash = *name == '/' ? NULL : strrchr(base, '/');
    _cleanup_free_ char *whole = must_printf("%.*s/%s", slash ? (int)(slash - base) : 0, base, name);
    char *clean = must_alloc(strlen(whole) + 1);
    char *end = clean;
    char *rest = NULL;
    for (char *part = strtok_r(whole, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
        if (strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0) {
            *end = '\0';
            char *last = strrchr(clean, '/');
            end = last ? last : clean;
            continue;
        }
        if (end > clean)
            *end++ = '/';
        end = stpcpy(end, part);
    }
    *end = '\0';
    return clean;
}

/* The last of a name wins, as when unpacking. */
static const struct archive_file *find_entry(const struct files *files, const char *name)
{
    for (size_t i = files->count; i > 0; i--)
        if (strcmp(files->entries[i - 1].name, name) == 0)
            return &files->entries[i - 1];
    return NULL;
}

static const struct archive_file *find_file(const struct files *files, const char *name)
{
    _cleanup_free_ char *clean = resolve_name("", name);
    const struct archive_file *entry = find_entry(files, clean);
    for (int links = 0; entry && entry->link && links < LINKS_MAX; links++)
        entry = find_entry(files, entry->link);
    return entry && !entry->link ? entry : NULL;
}

/* Reading an archive. */

/* How the archive comes: in place, or through a pipe or a decompressor. */
struct archive {
    struct files *files;
    struct tar_reader *reader;
    bool in_place;
    int fd;
    struct progress *progress;
    char *piece;
};

static struct error *plain_pull(void *context, const void **ret_data, size_t *ret_length)
{
    struct archive *archive = context;
    ssize_t length;
    do
        length = read(archive->fd, archive->piece, PIECE);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        return error_errno(errno, "reading the archive");
    *ret_data = archive->piece;
    *ret_length = (size_t)length;
    return progress_add(archive->progress, (size_t)length);
}

static struct error *copy_file(struct archive *archive, const struct tar_entry *entry)
{
    struct files *files = archive->files;
    if (entry->size > BUILDER_CONTENTS_MAX - files->spooled)
        return error_new(ERROR_INVALID_ARGUMENT, "the archive holds more than %llu GiB",
            (unsigned long long)(BUILDER_CONTENTS_MAX >> 30));
    files->spooled += entry->size;
    for (;;) {
        const void *data = NULL;
        size_t length = 0;
        TRY(tar_data(archive->reader, &data, &length));
        if (length == 0)
            return NULL;
        TRY(error_wrap(fd_write_all(files->bytes, data, length), "copying it to a temporary file"));
    }
}

static struct error *take_entry(struct archive *archive, const struct tar_entry *entry)
{
    struct files *files = archive->files;
    bool link = entry->type == TAR_SYMBOLIC_LINK || entry->type == TAR_HARD_LINK;
    if (entry->type != TAR_FILE && !link)
        return NULL;
    if (files->count >= FILES_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "the archive holds more than %d files", FILES_MAX);
    files->entries = must_resize(files->entries, files->count + 1, sizeof(*files->entries));
    struct archive_file *file = &files->entries[files->count++];
    *file = (struct archive_file){
        .name = resolve_name("", entry->path),
        .offset = archive->in_place ? tar_position(archive->reader) : files->spooled,
        .size = entry->size,
    };
    if (link)
        file->link = resolve_name(entry->type == TAR_HARD_LINK ? "" : file->name, entry->link);
    return link || archive->in_place ? NULL : copy_file(archive, entry);
}

static struct error *take_entries(struct archive *archive)
{
    for (;;) {
        struct tar_entry *entry = NULL;
        TRY(tar_next(archive->reader, &entry));
        if (!entry)
            return NULL;
        TRY(error_wrap(take_entry(archive, entry), "\"%.200s\"", entry->path));
    }
}

static struct error *read_in_place(struct archive *archive)
{
    _cleanup_free_ char *piece = must_alloc(PIECE);
    _cleanup_tar_reader_ struct tar_reader *reader = tar_reader_new(plain_pull, archive);
    archive->piece = piece;
    archive->reader = reader;
    archive->files->bytes = fcntl(archive->fd, F_DUPFD_CLOEXEC, 3);
    return take_entries(archive);
}

static struct error *read_to_copy(struct archive *archive, const char *temporary)
{
    static const struct blob_expectation nothing;
    _cleanup_free_ char *path = must_printf("%s/archive", temporary);
    _cleanup_blob_ struct blob *blob = NULL;
    archive->files->bytes = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (archive->files->bytes < 0)
        return error_errno(errno, "creating a temporary file");
    TRY(blob_open(archive->fd, &nothing, archive->progress, &blob));
    _cleanup_tar_reader_ struct tar_reader *reader = tar_reader_new(blob_pull, blob);
    archive->reader = reader;
    return take_entries(archive);
}

/* A file that is read from its start and not compressed with what blob.c knows. */
static bool readable_in_place(int fd, const struct stat *status)
{
    unsigned char magic[4] = {0};
    return S_ISREG(status->st_mode) && lseek(fd, 0, SEEK_CUR) == 0 && pread(fd, magic, 4, 0) == 4 &&
           memcmp(magic, "\x1f\x8b", 2) != 0 && memcmp(magic, "\x28\xb5\x2f\xfd", 4) != 0;
}

struct error *files_open_archive(
    const char *path, const char *temporary, struct progress *progress, struct files **ret_files)
{
    bool standard_input = strcmp(path, "-") == 0;
    _cleanup_fd_ int fd = standard_input ? fcntl(0, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_errno(errno, "opening the archive");
    TRY(progress_step(
        progress, S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0, "reading the archive"));
    _cleanup_files_ struct files *files = must_new(struct files);
    *files = (struct files){.directory = -1, .bytes = -1};
    struct archive archive = {
        .files = files,
        .in_place = readable_in_place(fd, &status),
        .fd = fd,
        .progress = progress,
    };
    TRY(archive.in_place ? read_in_place(&archive) : read_to_copy(&archive, temporary));
    *ret_files = TAKE_PTR(files);
    return NULL;
}

/* Opening. */

static struct error *open_in_layout(
    const struct files *files, const char *name, int *ret_fd, uint64_t *ret_size)
{
    _cleanup_fd_ int fd = -1;
    struct stat status;
    TRY(open_in_root(files->directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, &fd));
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return error_new(ERROR_INVALID_ARGUMENT, "%s is not a file", name);
    *ret_fd = TAKE_FD(fd);
    *ret_size = (uint64_t)status.st_size;
    return NULL;
}

struct error *files_open(const struct files *files, const char *name, int *ret_fd, uint64_t *ret_size)
{
    if (files->directory >= 0)
        return open_in_layout(files, name, ret_fd, ret_size);
    const struct archive_file *file = find_file(files, name);
    if (!file)
        return error_new(ERROR_NOT_FOUND, "%s is not in the archive", name);
    /* Not opened anew: standard input may be a file that this user could not open. */
    _cleanup_fd_ int fd = fcntl(files->bytes, F_DUPFD_CLOEXEC, 3);
    if (fd < 0 || lseek(fd, (off_t)file->offset, SEEK_SET) < 0)
        return error_errno(errno, "opening %s in the archive", name);
    *ret_fd = TAKE_FD(fd);
    *ret_size = file->size;
    return NULL;
}

struct error *files_read(
    const struct files *files, const char *name, size_t limit, char **ret_text, size_t *ret_length)
{
    _cleanup_fd_ int fd = -1;
    uint64_t size = 0;
    TRY(files_open(files, name, &fd, &size));
    if (size > limit)
        return error_new(ERROR_INVALID_ARGUMENT, "%s has %llu bytes, more than the %zu that are allowed",
            name, (unsigned long long)size, limit);
    _cleanup_free_ char *text = must_alloc((size_t)size + 1);
    TRY(error_wrap(fd_read_exactly(fd, text, (size_t)size), "%s", name));
    *ret_text = TAKE_PTR(text);
    *ret_length = (size_t)size;
    return NULL;
}

bool files_has(const struct files *files, const char *name)
{
    _cleanup_fd_ int fd = -1;
    uint64_t size = 0;
    _cleanup_error_ struct error *error = files_open(files, name, &fd, &size);
    return !error;
}
