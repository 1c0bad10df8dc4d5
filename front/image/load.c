/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an image comes in: find its parts, take the lock of its digest, build the file system image in a
 * temporary directory, move it to its place, and last write the record that makes it an image. Killed
 * anywhere before, the sweep finds a temporary directory that nobody holds, or a file without a record.
 */
#include "image/load.h"

#include "image/builder.h"
#include "image/files.h"
#include "image/parts.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Building. */

/* The first 16 bytes of the digest: the volume's UUID, so that the same image gives the same file. */
static void identity_of(const struct digest *digest, uint8_t identity[16])
{
    const char *hex = digest_hex(digest);
    for (int i = 0; i < 16; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        identity[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

static char *rootfs_temporary(const struct temporary *temporary)
{
    return must_printf("%s/rootfs.erofs", temporary->path);
}

static struct error *create_rootfs(const struct temporary *temporary, int *ret_fd)
{
    _cleanup_free_ char *path = rootfs_temporary(temporary);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(errno, "creating the image file %s", path);
    *ret_fd = fd;
    return NULL;
}

struct error *rootfs_hash(int fd, struct progress *progress, struct digest *ret_digest, uint64_t *ret_size)
{
    enum { PIECE = 256 * 1024 };
    _cleanup_free_ char *piece = must_alloc(PIECE);
    _cleanup_hasher_ struct hasher *hasher = hasher_new(NULL);
    uint64_t size = 0;
    for (;;) {
        ssize_t length = pread(fd, piece, PIECE, (off_t)size);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return error_errno(errno, "reading the image file");
        if (length == 0)
            break;
        hasher_add(hasher, piece, (size_t)length);
        size += (size_t)length;
        TRY(progress_add(progress, (size_t)length));
    }
    *ret_digest = hasher_finish(hasher);
    *ret_size = size;
    return NULL;
}

/* Hashes the finished file and makes it an image of the store. The image's lock is held. */
static struct error *publish(struct image_store *store, const struct temporary *temporary, int fd,
    struct record *record, struct progress *progress)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_errno(errno, "reading the image file");
    TRY(progress_step(progress, (uint64_t)status.st_size, "recording the digest"));
    TRY(rootfs_hash(fd, progress, &record->rootfs_digest, &record->rootfs_size));
    record->rootfs_time = store_file_time(&status);
    record->loaded = time(NULL);
    _cleanup_free_ char *from = rootfs_temporary(temporary);
    _cleanup_free_ char *to = store_path(store, "rootfs", digest_hex(&record->digest), ".erofs");
    _cleanup_lock_ struct lock lock = LOCK_NONE;
    TRY(lock_take(store, "index", "", NULL, &lock, NULL));
    if (rename(from, to) < 0)
        return error_errno(errno, "moving the image file to %s", to);
    struct error *error = record_write(store, record);
    if (error)
        unlink(to);
    return error;
}

static bool have_image(struct image_store *store, const char *hex)
{
    _cleanup_image_ struct image *image = NULL;
    _cleanup_error_ struct error *error = record_read(store, hex, &image);
    struct stat status;
    return !error && stat(image->rootfs_path, &status) == 0 && (uint64_t)status.st_size == image->size;
}

/* Layers that a configuration names. */

static struct error *add_layer(struct builder *builder, const struct files *files, const struct parts *parts,
    size_t index, struct progress *progress)
{
    const struct layer *layer = &parts->layers[index];
    _cleanup_fd_ int fd = -1;
    uint64_t size = 0;
    TRY(files_open(files, layer->path, &fd, &size));
    const struct blob_expectation expectation = {
        .digest = layer->has_digest ? &layer->digest : NULL,
        .size = layer->size,
        .contents = &parts->document.contents[index],
        .bounded = true,
        .available = size,
    };
    TRY(progress_step(progress, size, "reading layer %zu of %zu", index + 1, parts->layer_count));
    return builder_add_layer(builder, fd, &expectation, progress, NULL);
}

static struct error *convert(struct image_store *store, const struct files *files, const struct parts *parts,
    struct progress *progress)
{
    __attribute__((cleanup(temporary_release))) struct temporary temporary = {.fd = -1};
    _cleanup_builder_ struct builder *builder = NULL;
    _cleanup_fd_ int fd = -1;
    uint8_t identity[16];
    TRY(temporary_new(store, &temporary));
    TRY(create_rootfs(&temporary, &fd));
    TRY(builder_new(fd, &builder));
    for (size_t i = 0; i < parts->layer_count; i++)
        TRY(error_wrap(add_layer(builder, files, parts, i, progress), "layer %zu of %zu (%.19s)", i + 1,
            parts->layer_count, parts->document.contents[i].text));
    TRY(progress_step(progress, 0, "writing the image file"));
    identity_of(&parts->digest, identity);
    TRY(builder_finish(builder, identity));
    struct record record = {
        .digest = parts->digest,
        .has_manifest_digest = parts->has_manifest_digest,
        .manifest_digest = parts->manifest_digest,
        .config = parts->config,
        .config_length = parts->config_length,
    };
    return publish(store, &temporary, fd, &record, progress);
}

struct error *load_parts(struct image_store *store, const struct files *files, const struct parts *parts,
    struct progress *progress)
{
    const char *hex = digest_hex(&parts->digest);
    _cleanup_lock_ struct lock lock = LOCK_NONE;
    TRY(lock_take(store, "image", hex, progress, &lock, NULL));
    return have_image(store, hex) ? NULL : convert(store, files, parts, progress);
}

/* Root file systems without a configuration: one is written for them. */

static char *write_document(const struct digest *contents)
{
    _cleanup_json_ json_t *document =
        json_pack("{s:s, s:s, s:{s:[s]}, s:{s:s, s:[s]}}", "architecture", architecture_here(), "os", "linux",
            "config", "Env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "rootfs",
            "type", "layers", "diff_ids", contents->text);
    char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        abort();
    return text;
}

static struct error *publish_plain(struct image_store *store, const struct temporary *temporary, int fd,
    const struct digest *contents, struct progress *progress, struct digest *ret_digest)
{
    _cleanup_free_ char *document = write_document(contents);
    struct record record = {
        .digest = digest_of(document, strlen(document)),
        .config = document,
        .config_length = strlen(document),
    };
    _cleanup_lock_ struct lock lock = LOCK_NONE;
    TRY(lock_take(store, "image", digest_hex(&record.digest), progress, &lock, NULL));
    if (!have_image(store, digest_hex(&record.digest)))
        TRY(publish(store, temporary, fd, &record, progress));
    *ret_digest = record.digest;
    return NULL;
}

static struct error *load_directory(
    struct image_store *store, const char *path, struct progress *progress, struct digest *ret_digest)
{
    static const uint8_t identity[16];
    __attribute__((cleanup(temporary_release))) struct temporary temporary = {.fd = -1};
    _cleanup_builder_ struct builder *builder = NULL;
    _cleanup_fd_ int fd = -1;
    struct digest contents;
    uint64_t size = 0;
    TRY(temporary_new(store, &temporary));
    TRY(create_rootfs(&temporary, &fd));
    TRY(builder_new(fd, &builder));
    TRY(progress_step(progress, 0, "reading %s", path));
    TRY(builder_add_directory(builder, path, progress));
    TRY(builder_finish(builder, identity));
    TRY(rootfs_hash(fd, progress, &contents, &size));
    return publish_plain(store, &temporary, fd, &contents, progress, ret_digest);
}

static struct error *load_tar(
    struct image_store *store, const char *path, struct progress *progress, struct digest *ret_digest)
{
    static const uint8_t identity[16];
    static const struct blob_expectation nothing;
    bool standard_input = strcmp(path, "-") == 0;
    __attribute__((cleanup(temporary_release))) struct temporary temporary = {.fd = -1};
    _cleanup_builder_ struct builder *builder = NULL;
    _cleanup_fd_ int input = standard_input ? fcntl(0, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_fd_ int fd = -1;
    struct stat status;
    struct digest contents;
    if (input < 0 || fstat(input, &status) < 0)
        return error_errno(errno, "%s", standard_input ? "standard input" : path);
    TRY(temporary_new(store, &temporary));
    TRY(create_rootfs(&temporary, &fd));
    TRY(builder_new(fd, &builder));
    TRY(progress_step(progress, S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0, "reading the tar"));
    TRY(builder_add_layer(builder, input, &nothing, progress, &contents));
    TRY(builder_finish(builder, identity));
    return publish_plain(store, &temporary, fd, &contents, progress, ret_digest);
}

/* The names that an image gets when the user gives none: see image_load. */

/* "/srv/debian.tar.gz" -> "debian:latest"; a file name that can be no image name gives none. */
static void name_by_file(const char *path, const char *tag, char ***names)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *base = must_copy(slash ? slash + 1 : path);
    char *suffix = strstr(base, ".tar");
    if (suffix)
        *suffix = '\0';
    _cleanup_free_ char *name = must_printf("%s:%s", base, tag ? tag : "latest");
    char *complete = NULL;
    _cleanup_error_ struct error *error = image_name_complete(name, &complete);
    if (!error)
        strv_take(names, complete);
}

/* A directory that is loaded again takes the place of what it was, and no image of a registry is called so.
 */
static void name_by_directory(const char *path, char ***names)
{
    _cleanup_free_ char *resolved = NULL;
    _cleanup_error_ struct error *error = path_resolve(path, &resolved);
    const char *whole = error ? path : resolved;
    struct digest digest = digest_of(whole, strlen(whole));
    strv_append_printf(names, "directory/%.12s:latest", digest_hex(&digest));
}

static struct error *name_by_parts(
    const struct image_source *source, const struct parts *parts, char ***names)
{
    STRV_FOREACH (name, parts->names) {
        char *complete = NULL;
        TRY(image_name_complete(*name, &complete));
        strv_take(names, complete);
    }
    if (!*names && strcmp(source->path, "-") != 0)
        name_by_file(source->path, parts->tag, names);
    return NULL;
}

/* Layouts and archives. */

static struct error *open_files(struct image_store *store, const struct image_source *source,
    struct temporary *temporary, struct progress *progress, struct files **ret_files)
{
    if (source->kind == IMAGE_SOURCE_LAYOUT)
        return files_open_directory(source->path, ret_files);
    TRY(temporary_new(store, temporary));
    return files_open_archive(source->path, temporary->path, progress, ret_files);
}

static struct error *load_files(struct image_store *store, const struct image_source *source,
    struct progress *progress, struct digest *ret_digest, char ***ret_names)
{
    __attribute__((cleanup(temporary_release))) struct temporary temporary = {.fd = -1};
    _cleanup_files_ struct files *files = NULL;
    _cleanup_parts_ struct parts parts = {0};
    TRY(open_files(store, source, &temporary, progress, &files));
    TRY(parts_read(files, source->tag, &parts));
    TRY(name_by_parts(source, &parts, ret_names));
    TRY(load_parts(store, files, &parts, progress));
    *ret_digest = parts.digest;
    return NULL;
}

static struct error *load_source(struct image_store *store, const struct image_source *source,
    struct progress *progress, struct digest *ret_digest, char ***ret_names)
{
    switch (source->kind) {
    case IMAGE_SOURCE_DIRECTORY:
        name_by_directory(source->path, ret_names);
        return load_directory(store, source->path, progress, ret_digest);
    case IMAGE_SOURCE_TAR:
        if (strcmp(source->path, "-") != 0)
            name_by_file(source->path, NULL, ret_names);
        return load_tar(store, source->path, progress, ret_digest);
    case IMAGE_SOURCE_LAYOUT:
    case IMAGE_SOURCE_ARCHIVE:
        break;
    }
    return load_files(store, source, progress, ret_digest, ret_names);
}

static const char *source_text(const struct image_source *source)
{
    return strcmp(source->path, "-") == 0 ? "standard input" : source->path;
}

struct error *image_load(struct image_store *store, const struct image_source *source, const char *name,
    const struct image_observer *observer, struct image **ret_image)
{
    _cleanup_progress_ struct progress progress = {.observer = observer};
    _cleanup_free_ char *given = NULL;
    _cleanup_strv_ char **names = NULL;
    struct digest digest;
    if (name)
        TRY(image_name_complete(name, &given));
    struct error *error = load_source(store, source, &progress, &digest, &names);
    if (error_code(error) == ERROR_RESOURCE_EXHAUSTED)
        error = error_wrap(error, "storing it in %s", store->images);
    TRY(error_wrap(error, "loading %s", source_text(source)));
    if (given) {
        strv_free(TAKE_PTR(names));
        strv_append(&names, given);
    }
    TRY(names_give(store, &digest, names));
    return image_resolve(store, digest.text, ret_image);
}

struct error *image_verify(
    struct image_store *store, const struct image *image, const struct image_observer *observer)
{
    _cleanup_progress_ struct progress progress = {.observer = observer};
    _cleanup_fd_ int fd = open(image->rootfs_path, O_RDONLY | O_CLOEXEC);
    struct digest digest;
    uint64_t size = 0;
    if (fd < 0)
        return error_errno(errno, "%s", image->rootfs_path);
    TRY(progress_step(&progress, image->size, "verifying the image"));
    TRY(rootfs_hash(fd, &progress, &digest, &size));
    if (strcmp(digest.text, image->rootfs_digest) == 0)
        return NULL;
    return error_new(ERROR_DATA_LOSS,
        "the image %s is damaged: %s changed after it was written; remove it and load it again",
        image->names ? image->names[0] : image->digest, image->rootfs_path);
}
