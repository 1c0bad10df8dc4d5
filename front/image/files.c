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
};

/* A name in an archive and the number of the file that holds its bytes, or where it points to. */
struct archive_file {
    char *name;
    char *link; /* NULL: a file */
    unsigned number;
};

struct files {
    int directory; /* of the layout, or of the copies */
    bool archive;
    struct archive_file *entries;
    size_t count;
    uint64_t bytes;
};

static struct error *open_directory(const char *path, struct files *files)
{
    files->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return files->directory < 0 ? error_errno(errno, "opening the directory") : NULL;
}

struct error *files_open_directory(const char *path, struct files **ret_files)
{
    _cleanup_files_ struct files *files = must_new(struct files);
    TRY(open_directory(path, files));
    *ret_files = TAKE_PTR(files);
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

/* Copying an archive. */

static struct error *copy_file(struct files *files, struct tar_reader *reader, const struct tar_entry *entry)
{
    if (entry->size > BUILDER_CONTENTS_MAX - files->bytes)
        return error_new(ERROR_INVALID_ARGUMENT, "the archive holds more than %llu GiB",
            (unsigned long long)(BUILDER_CONTENTS_MAX >> 30));
    files->bytes += entry->size;
    char name[16];
    snprintf(name, sizeof(name), "%zu", files->count);
    _cleanup_fd_ int fd = openat(files->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(errno, "creating a temporary file");
    for (;;) {
        const void *data = NULL;
        size_t length = 0;
        TRY(tar_data(reader, &data, &length));
        if (length == 0)
            return NULL;
        TRY(fd_write_all(fd, data, length));
    }
}

static struct error *take_entry(struct files *files, struct tar_reader *reader, const struct tar_entry *entry)
{
    bool link = entry->type == TAR_SYMBOLIC_LINK || entry->type == TAR_HARD_LINK;
    if (entry->type != TAR_FILE && !link)
        return NULL;
    if (files->count >= FILES_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "the archive holds more than %d files", FILES_MAX);
    if (!link)
        TRY(copy_file(files, reader, entry));
    files->entries = must_resize(files->entries, files->count + 1, sizeof(*files->entries));
    struct archive_file *file = &files->entries[files->count];
    *file = (struct archive_file){.name = resolve_name("", entry->path), .number = (unsigned)files->count};
    if (link)
        file->link = resolve_name(entry->type == TAR_HARD_LINK ? "" : file->name, entry->link);
    files->count++;
    return NULL;
}

static struct error *copy_archive(struct files *files, struct tar_reader *reader)
{
    for (;;) {
        struct tar_entry *entry = NULL;
        TRY(tar_next(reader, &entry));
        if (!entry)
            return NULL;
        TRY(error_wrap(take_entry(files, reader, entry), "\"%.200s\"", entry->path));
    }
}

struct error *files_open_archive(
    const char *path, const char *temporary, struct progress *progress, struct files **ret_files)
{
    static const struct blob_expectation nothing;
    bool standard_input = strcmp(path, "-") == 0;
    _cleanup_fd_ int fd = standard_input ? fcntl(0, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_errno(errno, "%s", standard_input ? "standard input" : path);
    TRY(progress_step(
        progress, S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0, "reading the archive"));
    _cleanup_files_ struct files *files = must_new(struct files);
    files->archive = true;
    TRY(open_directory(temporary, files));
    _cleanup_blob_ struct blob *blob = NULL;
    TRY(blob_open(fd, &nothing, progress, &blob));
    _cleanup_tar_reader_ struct tar_reader *reader = tar_reader_new(blob_pull, blob);
    TRY(copy_archive(files, reader));
    *ret_files = TAKE_PTR(files);
    return NULL;
}

/* Opening. */

struct error *files_open(const struct files *files, const char *name, int *ret_fd)
{
    if (!files->archive)
        return open_in_root(files->directory, name, O_RDONLY | O_CLOEXEC, 0, ret_fd);
    const struct archive_file *file = find_file(files, name);
    if (!file)
        return error_new(ERROR_NOT_FOUND, "%s: not in the archive", name);
    char number[16];
    snprintf(number, sizeof(number), "%u", file->number);
    int fd = openat(files->directory, number, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "%s", name);
    *ret_fd = fd;
    return NULL;
}

struct error *files_read(
    const struct files *files, const char *name, size_t limit, char **ret_text, size_t *ret_length)
{
    _cleanup_fd_ int fd = -1;
    TRY(files_open(files, name, &fd));
    return error_wrap(fd_read_all(fd, limit, ret_text, ret_length), "%s", name);
}

bool files_has(const struct files *files, const char *name)
{
    _cleanup_fd_ int fd = -1;
    _cleanup_error_ struct error *error = files_open(files, name, &fd);
    return !error;
}
