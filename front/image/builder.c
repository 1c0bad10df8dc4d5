/* SPDX-License-Identifier: Apache-2.0 */
#include "image/builder.h"

#include "image/builder_parts.h"
#include "image/tar.h"

#include <string.h>
#include <sys/stat.h>

struct error *builder_new(int fd, struct builder **ret_builder)
{
    _cleanup_builder_ struct builder *builder = must_new(struct builder);
    builder->output = output_new(fd);
    TRY(erofs_writer_new(builder->output, &builder->writer));
    builder->tree = tree_new(erofs_discard, builder->output);
    *ret_builder = TAKE_PTR(builder);
    return NULL;
}

void builder_free(struct builder *builder)
{
    if (!builder)
        return;
    erofs_writer_free(builder->writer);
    tree_free(builder->tree);
    output_free(builder->output);
    free(builder);
}

struct error *builder_count_contents(struct builder *builder, uint64_t size)
{
    if (size > BUILDER_CONTENTS_MAX - builder->contents)
        return error_new(ERROR_INVALID_ARGUMENT, "with its %llu bytes the files have more than %llu GiB",
            (unsigned long long)size, (unsigned long long)(BUILDER_CONTENTS_MAX >> 30));
    builder->contents += size;
    return NULL;
}

struct error *builder_finish(struct builder *builder, const uint8_t identity[16])
{
    return erofs_finish(builder->writer, builder->tree, identity);
}

/* Layers. */

static mode_t file_type(enum tar_type type)
{
    static const mode_t types[] = {
        [TAR_FILE] = S_IFREG,
        [TAR_HARD_LINK] = S_IFREG,
        [TAR_SYMBOLIC_LINK] = S_IFLNK,
        [TAR_CHARACTER_DEVICE] = S_IFCHR,
        [TAR_BLOCK_DEVICE] = S_IFBLK,
        [TAR_DIRECTORY] = S_IFDIR,
        [TAR_FIFO] = S_IFIFO,
    };
    return types[type];
}

static struct error *check_target(const char *target)
{
    if (*target == '\0')
        return error_new(ERROR_INVALID_ARGUMENT, "a symbolic link to nothing");
    if (strlen(target) > TREE_PATH_MAX)
        return error_new(
            ERROR_INVALID_ARGUMENT, "a symbolic link to a name of more than %d bytes", TREE_PATH_MAX);
    return NULL;
}

static struct tree_inode *inode_of(struct tar_entry *entry)
{
    struct tree_inode *inode = tree_inode_new(file_type(entry->type) | entry->permissions);
    inode->uid = entry->uid;
    inode->gid = entry->gid;
    inode->mtime = entry->mtime;
    inode->mtime_nanoseconds = entry->mtime_nanoseconds;
    inode->size = entry->size;
    inode->major = entry->major;
    inode->minor = entry->minor;
    inode->target = entry->type == TAR_SYMBOLIC_LINK ? TAKE_PTR(entry->link) : NULL;
    inode->xattrs = entry->xattrs;
    entry->xattrs = (struct xattrs){0};
    return inode;
}

static struct error *copy_contents(
    struct builder *builder, struct tar_reader *reader, struct tree_inode *inode)
{
    const void *data = NULL;
    size_t length = 0;
    TRY(builder_count_contents(builder, inode->size));
    erofs_begin_contents(builder->writer, inode);
    for (;;) {
        TRY(tar_data(reader, &data, &length));
        if (length == 0)
            return erofs_end_contents(builder->writer);
        TRY(output_write(builder->output, data, length));
    }
}

static struct error *apply_entry(struct builder *builder, struct tar_reader *reader, struct tar_entry *entry)
{
    if (tree_is_whiteout(entry->path))
        return tree_apply_whiteout(builder->tree, entry->path);
    if (entry->type == TAR_HARD_LINK)
        return tree_link(builder->tree, entry->path, entry->link);
    if (entry->type == TAR_SYMBOLIC_LINK)
        TRY(check_target(entry->link));
    _cleanup_tree_inode_ struct tree_inode *inode = inode_of(entry);
    if (entry->type == TAR_FILE)
        TRY(copy_contents(builder, reader, inode));
    return tree_add(builder->tree, entry->path, TAKE_PTR(inode));
}

static struct error *apply_entries(struct builder *builder, struct tar_reader *reader)
{
    struct tar_entry *entry = NULL;
    tree_next_layer(builder->tree);
    for (;;) {
        TRY(tar_next(reader, &entry));
        if (!entry)
            return NULL;
        TRY(error_wrap(apply_entry(builder, reader, entry), "\"%.200s\"", entry->path));
    }
}

struct error *builder_add_layer(struct builder *builder, int fd, const struct blob_expectation *expectation,
    struct progress *progress, struct digest *ret_contents)
{
    _cleanup_blob_ struct blob *blob = NULL;
    TRY(blob_open(fd, expectation, progress, &blob));
    _cleanup_tar_reader_ struct tar_reader *reader = tar_reader_new(blob_pull, blob);
    struct error *error = apply_entries(builder, reader);
    if (error)
        return blob_explain(blob, error);
    return blob_check(blob, ret_contents);
}
