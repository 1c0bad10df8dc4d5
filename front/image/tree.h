/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merged tree of an image, in memory: names and attributes, no contents.
 *
 * Layers are applied from the lowest up. A name resolves as it would in a container whose root is the tree:
 * links in parent directories are followed inside it. Nothing here touches a real file system, so a name that
 * tries to leave the tree has nowhere to go; it is refused all the same, for such a layer was made to do
 * harm.
 *
 * A directory's children stand in a balanced tree in the byte order of their names, the order that EROFS
 * wants; no choice of names makes it slow.
 */
#pragma once

#include "image/xattr.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    TREE_NODES_MAX = 1 << 20,        /* names in one image */
    TREE_NAME_MAX = 255,             /* NAME_MAX of linux/limits.h */
    TREE_PATH_MAX = 4095,            /* PATH_MAX less the NUL */
    TREE_DEPTH_MAX = 1024,           /* directories inside each other */
    TREE_LINKS_MAX = 40,             /* symbolic links on one way; MAXSYMLINKS of linux/namei.h */
    TREE_XATTR_BYTES_MAX = 64 << 20, /* of all inodes together */
};

struct tree_inode {
    uint32_t links; /* names that point here */
    mode_t mode;    /* type and permissions */
    uint32_t uid;
    uint32_t gid;
    int64_t mtime;
    uint32_t mtime_nanoseconds;
    uint64_t size;   /* regular files */
    uint64_t offset; /* of the contents in the image file */
    uint32_t major;  /* devices */
    uint32_t minor;
    char *target; /* symbolic links */
    struct xattrs xattrs;

    /* Where the writer put it; 0 until then. */
    uint64_t position;
    uint32_t number;
};

struct tree_node {
    struct tree_node *parent; /* the root's is itself */
    struct tree_inode *inode;
    void *children; /* of tsearch(3) */
    size_t child_count;
    unsigned layer; /* the last one that named it */
    unsigned depth;
    const char *name; /* stands behind the node */
};

/* Called for the contents of a file that left the tree. */
typedef struct error *tree_discard(void *context, uint64_t offset, uint64_t size);

struct tree;
struct tree *tree_new(tree_discard *discard, void *context);
void tree_free(struct tree *tree);
DEFINE_CLEANUP(struct tree *, tree_free);
#define _cleanup_tree_ _cleanup_(tree_free)

struct tree_node *tree_root(struct tree *tree);
size_t tree_node_count(const struct tree *tree);
/* The names that follow belong to a new layer above all before. */
void tree_next_layer(struct tree *tree);

/* An inode without names; tree_add takes it over, also when it fails. */
struct tree_inode *tree_inode_new(mode_t mode);
void tree_inode_free(struct tree_inode *inode);
DEFINE_CLEANUP(struct tree_inode *, tree_inode_free);
#define _cleanup_tree_inode_ _cleanup_(tree_inode_free)

/* Puts the inode there. A directory on a directory changes its attributes, everything else takes the place of
   what there was. Missing parents appear as root's, 0755. */
struct error *tree_add(struct tree *tree, const char *path, struct tree_inode *inode);
/* A second name for what `target` names; links in target's parents are followed, itself it is not. */
struct error *tree_link(struct tree *tree, const char *path, const char *target);
/* The path is a whiteout of OCI's layer format (".wh.NAME", ".wh..wh..opq"). */
bool tree_is_whiteout(const char *path);
/* Removes what the whiteout hides: names of lower layers only, whatever the order in this layer. */
struct error *tree_apply_whiteout(struct tree *tree, const char *path);

/* In the order of their names; the array is the caller's, the nodes are not. NULL for none. */
struct tree_node **tree_children(const struct tree_node *node);
/* Borrowed, NULL where there is none; parents are followed as for tree_link. For tests. */
struct tree_node *tree_find(struct tree *tree, const char *path);
