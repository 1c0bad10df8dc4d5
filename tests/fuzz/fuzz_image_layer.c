/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile layer, plain or compressed, on a small good one: it becomes an image or an error, and whatever it
   is, the tree's counters and the image's geometry hold. The checksums of headers are put right first: a
   fuzzer cannot guess them. */
#include "image/builder_parts.h"
#include "image/erofs_format.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { BLOCK = 512 };

static void fix_checksum(uint8_t *header)
{
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (int i = 0; i < BLOCK; i++)
        sum += header[i];
    snprintf((char *)header + 148, 8, "%06o", sum);
}

static struct error *add_layer(struct builder *builder, const void *data, size_t size)
{
    static const struct blob_expectation nothing;
    _cleanup_progress_ struct progress progress = {0};
    _cleanup_fd_ int fd = memfd_create("layer", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)
        abort();
    return builder_add_layer(builder, fd, &nothing, &progress, NULL);
}

/* A directory with a file and a link that leads to it. */
static struct error *add_good_layer(struct builder *builder)
{
    static const struct {
        const char *name, *link;
        char type;
    } items[] = {{"usr/bin/sh", "", '0'}, {"bin", "usr/bin", '2'}, {"out", "../..", '2'}, {"d", "", '5'}};
    uint8_t layer[ARRAY_SIZE(items)][BLOCK] = {0};
    for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
        snprintf((char *)layer[i], 100, "%s", items[i].name);
        layer[i][156] = (uint8_t)items[i].type;
        snprintf((char *)layer[i] + 157, 100, "%s", items[i].link);
        fix_checksum(layer[i]);
    }
    return add_layer(builder, layer, sizeof(layer));
}

static size_t count_below(const struct tree_node *node)
{
    _cleanup_free_ struct tree_node **children = tree_children(node);
    size_t count = 1;
    for (size_t i = 0; i < node->child_count; i++) {
        if (i > 0 && strcmp(children[i - 1]->name, children[i]->name) >= 0)
            abort();
        count += count_below(children[i]);
    }
    return count;
}

static void check_file(int fd)
{
    struct erofs_super_block super;
    struct stat status;
    if (fstat(fd, &status) < 0 || pread(fd, &super, sizeof(super), EROFS_SUPER_OFFSET) != sizeof(super))
        abort();
    if (super.magic != EROFS_MAGIC || (off_t)super.blocks * EROFS_BLOCK != status.st_size)
        abort();
}

static struct error *convert(const uint8_t *data, size_t size)
{
    static const uint8_t identity[16];
    _cleanup_builder_ struct builder *builder = NULL;
    _cleanup_fd_ int fd = memfd_create("image", MFD_CLOEXEC);
    TRY(builder_new(fd, &builder));
    if (add_good_layer(builder))
        abort();
    struct error *error = add_layer(builder, data, size);
    if (count_below(tree_root(builder->tree)) != tree_node_count(builder->tree))
        abort();
    TRY(error);
    TRY(builder_finish(builder, identity));
    check_file(fd);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ uint8_t *copy = must_alloc(size + 1);
    memcpy(copy, data, size);
    bool compressed =
        size > 4 && (memcmp(data, "\x1f\x8b", 2) == 0 || memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0);
    for (size_t i = 0; !compressed && i + BLOCK <= size; i += BLOCK)
        if (memcmp(copy + i + 257, "ustar", 5) == 0)
            fix_checksum(copy + i);
    error_free(convert(copy, size));
    return 0;
}
