/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the EROFS on-disk format that the writer uses, all little-endian (docs:
 * Documentation/filesystems/ erofs.rst of Linux; fields: fs/erofs/erofs_fs.h).
 */
#pragma once

#include <stdint.h>

enum {
    EROFS_BLOCK = 4096,
    EROFS_BLOCK_BITS = 12,
    EROFS_SUPER_OFFSET = 1024,
    EROFS_SLOT = 32, /* node ids count slots from the start of the metadata */

    EROFS_COMPAT_CHECKSUM = 1, /* of the superblock's block from EROFS_SUPER_OFFSET on */
    EROFS_COMPAT_MTIME = 2,    /* the time of an inode is its mtime */

    EROFS_INODE_EXTENDED = 1, /* i_format, bit 0 */
    EROFS_LAYOUT_PLAIN = 0,   /* i_format, bits 1 to 3: whole blocks */
    EROFS_LAYOUT_INLINE = 2,  /* the last, partial block stands behind the inode and its attributes */
};

#define EROFS_MAGIC 0xe0f5e1e2u

struct erofs_super_block {
    uint32_t magic;
    uint32_t checksum; /* CRC-32C without the final inversion */
    uint32_t compatible_features;
    uint8_t block_bits;
    uint8_t extension_slots;
    uint16_t root_node;
    uint64_t inode_count;
    uint64_t build_time;
    uint32_t build_nanoseconds;
    uint32_t blocks;
    uint32_t metadata_block;
    uint32_t xattr_block;
    uint8_t uuid[16];
    uint8_t volume_name[16];
    uint32_t incompatible_features;
    uint8_t unused[44];
};
_Static_assert(sizeof(struct erofs_super_block) == 128, "on-disk size");

struct erofs_inode {
    uint16_t format;
    uint16_t xattr_count; /* 0: none; else 1 + (bytes of the xattr body - its header) / 4 */
    uint16_t mode;
    uint16_t reserved;
    uint64_t size;
    uint32_t block_or_device;
    uint32_t number;
    uint32_t uid;
    uint32_t gid;
    uint64_t mtime;
    uint32_t mtime_nanoseconds;
    uint32_t links;
    uint8_t reserved2[16];
};
_Static_assert(sizeof(struct erofs_inode) == 64, "on-disk size");

struct erofs_xattr_header {
    uint32_t name_filter;
    uint8_t shared_count;
    uint8_t reserved[7];
};
_Static_assert(sizeof(struct erofs_xattr_header) == 12, "on-disk size");

/* Followed by the name without its prefix and the value, then zeros up to a multiple of 4. */
struct erofs_xattr_entry {
    uint8_t name_length;
    uint8_t prefix;
    uint16_t value_size;
};

enum erofs_xattr_prefix {
    EROFS_XATTR_USER = 1,
    EROFS_XATTR_ACL_ACCESS = 2,
    EROFS_XATTR_ACL_DEFAULT = 3,
    EROFS_XATTR_TRUSTED = 4,
    EROFS_XATTR_SECURITY = 6,
};

/* A directory block is an array of these, then the names in the same order. The first name_offset tells how
   many there are; the last name ends at a NUL or with the directory. Names ascend byte by byte through all
   blocks. */
struct erofs_dirent {
    uint64_t node;
    uint16_t name_offset;
    uint8_t type;
    uint8_t reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct erofs_dirent) == 12, "on-disk size");

/* include/linux/fs_types.h: FT_* */
enum erofs_file_type {
    EROFS_TYPE_FILE = 1,
    EROFS_TYPE_DIRECTORY = 2,
    EROFS_TYPE_CHARACTER_DEVICE = 3,
    EROFS_TYPE_BLOCK_DEVICE = 4,
    EROFS_TYPE_FIFO = 5,
    EROFS_TYPE_SOCKET = 6,
    EROFS_TYPE_SYMBOLIC_LINK = 7,
};
