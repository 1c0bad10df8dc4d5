/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How it works: the first pass over the tree gives each inode its place in the metadata and each directory
 * its blocks, for directories name their children by place. The second pass writes the blocks, the third the
 * metadata, both in the order of the first, so that the file is written from front to back.
 */
#include "image/erofs.h"

#include "image/erofs_body.h"
#include "image/erofs_format.h"

#include <endian.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Node 0 stays free: a directory entry with inode number 0 counts as deleted for some readers. */
enum { FIRST_POSITION = 2 * EROFS_SLOT };

/* One inode on its way into the file. Its body is what a directory or link holds. */
struct plan {
    const struct tree_node *node; /* the first name of the inode */
    uint64_t size;                /* of the body */
    uint32_t first_block;         /* of the body, from the start of all bodies */
    uint32_t blocks;              /* of the body, without what stands inline */
    uint32_t links;
    bool inline_tail;
};

struct erofs_writer {
    struct output *output;
    struct plan *plans;
    size_t count;
    size_t capacity;
    uint64_t metadata_end; /* bytes from the start of the metadata */
    uint64_t body_blocks;
};

struct error *erofs_writer_new(struct output *output, struct erofs_writer **ret_writer)
{
    TRY(output_skip(output, EROFS_BLOCK));
    struct erofs_writer *writer = must_new(struct erofs_writer);
    writer->output = output;
    writer->metadata_end = FIRST_POSITION;
    *ret_writer = writer;
    return NULL;
}

void erofs_writer_free(struct erofs_writer *writer)
{
    if (!writer)
        return;
    free(writer->plans);
    free(writer);
}

void erofs_begin_contents(struct erofs_writer *writer, struct tree_inode *inode)
{
    inode->offset = output_position(writer->output);
}

struct error *erofs_end_contents(struct erofs_writer *writer)
{
    return output_align(writer->output, EROFS_BLOCK);
}

struct error *erofs_discard(void *output, uint64_t offset, uint64_t size)
{
    return output_discard(output, offset, (size + EROFS_BLOCK - 1) & ~(uint64_t)(EROFS_BLOCK - 1));
}

/* The first pass. */

static uint64_t align(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) / alignment * alignment;
}

static uint64_t body_size(const struct tree_node *node)
{
    if (S_ISDIR(node->inode->mode))
        return erofs_directory_size(node);
    return S_ISLNK(node->inode->mode) ? strlen(node->inode->target) : 0;
}

static struct plan *add_plan(struct erofs_writer *writer, const struct tree_node *node)
{
    if (writer->count == writer->capacity) {
        writer->capacity = writer->capacity ? writer->capacity * 2 : 1024;
        writer->plans = must_resize(writer->plans, writer->capacity, sizeof(*writer->plans));
    }
    struct plan *plan = &writer->plans[writer->count++];
    *plan = (struct plan){.node = node, .size = body_size(node), .links = node->inode->links};
    return plan;
}

/* An inline tail must lie in one block with its inode. */
static void plan_inode(struct erofs_writer *writer, const struct tree_node *node)
{
    struct plan *plan = add_plan(writer, node);
    uint64_t head = sizeof(struct erofs_inode) + erofs_xattrs_size(&node->inode->xattrs);
    uint64_t tail = plan->size % EROFS_BLOCK;
    plan->inline_tail = tail > 0 && head + tail <= EROFS_BLOCK;
    plan->blocks = (uint32_t)(plan->size / EROFS_BLOCK) + (tail > 0 && !plan->inline_tail);
    plan->first_block = (uint32_t)writer->body_blocks;
    writer->body_blocks += plan->blocks;

    uint64_t position = align(writer->metadata_end, EROFS_SLOT);
    if (plan->inline_tail && position % EROFS_BLOCK + head + tail > EROFS_BLOCK)
        position = align(position, EROFS_BLOCK);
    writer->metadata_end = position + head + (plan->inline_tail ? tail : 0);
    node->inode->position = position;
    node->inode->number = (uint32_t)writer->count;
}

/* All children of a directory stand together; then come the directories among them. */
static void plan_children(struct erofs_writer *writer, const struct tree_node *directory)
{
    size_t self = directory->inode->number - 1;
    uint32_t subdirectories = 0;
    _cleanup_free_ struct tree_node **children = tree_children(directory);
    for (size_t i = 0; i < directory->child_count; i++) {
        subdirectories += S_ISDIR(children[i]->inode->mode);
        if (children[i]->inode->number == 0)
            plan_inode(writer, children[i]);
    }
    writer->plans[self].links = 2 + subdirectories;
    for (size_t i = 0; i < directory->child_count; i++)
        if (S_ISDIR(children[i]->inode->mode))
            plan_children(writer, children[i]);
}

/* The second and third pass. */

/* Of plan->size bytes, padded to whole blocks. */
static uint8_t *encode_body(const struct plan *plan)
{
    uint8_t *body = must_alloc(align(plan->size, EROFS_BLOCK));
    if (S_ISDIR(plan->node->inode->mode))
        erofs_directory_encode(plan->node, body);
    else
        memcpy(body, plan->node->inode->target, plan->size);
    return body;
}

static struct error *write_bodies(struct erofs_writer *writer)
{
    for (size_t i = 0; i < writer->count; i++) {
        const struct plan *plan = &writer->plans[i];
        if (plan->blocks == 0)
            continue;
        _cleanup_free_ uint8_t *body = encode_body(plan);
        TRY(output_write(writer->output, body, (size_t)plan->blocks * EROFS_BLOCK));
    }
    return NULL;
}

/* new_encode_dev of linux/kdev_t.h. */
static uint32_t encode_device(const struct tree_inode *inode)
{
    return (inode->minor & 0xff) | inode->major << 8 | (inode->minor & ~UINT32_C(0xff)) << 12;
}

static uint32_t block_or_device(const struct plan *plan, uint64_t bodies_start)
{
    const struct tree_inode *inode = plan->node->inode;
    if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
        return encode_device(inode);
    if (S_ISREG(inode->mode))
        return (uint32_t)(inode->offset / EROFS_BLOCK);
    return (uint32_t)(bodies_start / EROFS_BLOCK) + plan->first_block;
}

static struct error *write_head(struct erofs_writer *writer, const struct plan *plan, uint64_t bodies_start)
{
    const struct tree_inode *inode = plan->node->inode;
    size_t xattrs_size = erofs_xattrs_size(&inode->xattrs);
    unsigned layout = plan->inline_tail ? EROFS_LAYOUT_INLINE : EROFS_LAYOUT_PLAIN;
    size_t xattr_count = xattrs_size ? (xattrs_size - sizeof(struct erofs_xattr_header)) / 4 + 1 : 0;
    const struct erofs_inode raw = {
        .format = htole16((uint16_t)(EROFS_INODE_EXTENDED | layout << 1)),
        .xattr_count = htole16((uint16_t)xattr_count),
        .mode = htole16((uint16_t)inode->mode),
        .size = htole64(S_ISREG(inode->mode) ? inode->size : plan->size),
        .block_or_device = htole32(block_or_device(plan, bodies_start)),
        .number = htole32(inode->number),
        .uid = htole32(inode->uid),
        .gid = htole32(inode->gid),
        .mtime = htole64((uint64_t)inode->mtime),
        .mtime_nanoseconds = htole32(inode->mtime_nanoseconds),
        .links = htole32(plan->links),
    };
    TRY(output_write(writer->output, &raw, sizeof(raw)));
    if (xattrs_size == 0)
        return NULL;
    _cleanup_free_ uint8_t *xattrs = must_alloc(xattrs_size);
    erofs_xattrs_encode(&inode->xattrs, xattrs);
    return output_write(writer->output, xattrs, xattrs_size);
}

static struct error *write_metadata(struct erofs_writer *writer, uint64_t bodies_start)
{
    uint64_t start = output_position(writer->output);
    for (size_t i = 0; i < writer->count; i++) {
        const struct plan *plan = &writer->plans[i];
        TRY(output_skip(
            writer->output, start + plan->node->inode->position - output_position(writer->output)));
        TRY(write_head(writer, plan, bodies_start));
        if (!plan->inline_tail)
            continue;
        _cleanup_free_ uint8_t *body = encode_body(plan);
        TRY(output_write(
            writer->output, body + (size_t)plan->blocks * EROFS_BLOCK, plan->size % EROFS_BLOCK));
    }
    return output_align(writer->output, EROFS_BLOCK);
}

/* CRC-32C (Castagnoli), reflected, without the final inversion, as the kernel's crc32c(~0, ...). */
static uint32_t crc32c(const uint8_t *data, size_t length)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return crc;
}

static struct error *write_super_block(struct erofs_writer *writer, const struct tree_node *root,
    uint64_t metadata_start, const uint8_t identity[16])
{
    uint8_t block[EROFS_BLOCK - EROFS_SUPER_OFFSET] = {0};
    struct erofs_super_block super = {
        .magic = htole32(EROFS_MAGIC),
        .compatible_features = htole32(EROFS_COMPAT_CHECKSUM | EROFS_COMPAT_MTIME),
        .block_bits = EROFS_BLOCK_BITS,
        .root_node = htole16((uint16_t)(root->inode->position / EROFS_SLOT)),
        .inode_count = htole64(writer->count),
        .blocks = htole32((uint32_t)(output_position(writer->output) / EROFS_BLOCK)),
        .metadata_block = htole32((uint32_t)(metadata_start / EROFS_BLOCK)),
    };
    memcpy(super.uuid, identity, sizeof(super.uuid));
    memcpy(block, &super, sizeof(super));
    super.checksum = htole32(crc32c(block, sizeof(block)));
    memcpy(block, &super, sizeof(super));
    return output_write_at(writer->output, EROFS_SUPER_OFFSET, block, sizeof(block));
}

struct error *erofs_finish(struct erofs_writer *writer, struct tree *tree, const uint8_t identity[16])
{
    const struct tree_node *root = tree_root(tree);
    plan_inode(writer, root);
    plan_children(writer, root);
    uint64_t bodies_start = output_position(writer->output);
    uint64_t metadata_start = bodies_start + writer->body_blocks * EROFS_BLOCK;
    uint64_t end = metadata_start + align(writer->metadata_end, EROFS_BLOCK);
    if (end / EROFS_BLOCK > UINT32_MAX)
        return error_new(
            ERROR_INVALID_ARGUMENT, "the image is larger than 16 TiB, the most that EROFS can hold");
    TRY(write_bodies(writer));
    TRY(write_metadata(writer, bodies_start));
    /* The superblock comes last: without it no half-written file can be taken for an image. */
    TRY(write_super_block(writer, root, metadata_start, identity));
    return output_finish(writer->output);
}
