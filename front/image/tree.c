/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tree.h"

#include <limits.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>

static const char whiteout_prefix[] = ".wh.";
static const char opaque_name[] = ".wh..wh..opq";

struct tree {
    struct tree_node *root;
    tree_discard *discard;
    void *context;
    size_t node_count;
    size_t xattr_bytes;
    unsigned layer;
};

/* Nodes and inodes. */

struct tree_inode *tree_inode_new(mode_t mode)
{
    struct tree_inode *inode = must_new(struct tree_inode);
    inode->mode = mode;
    return inode;
}

void tree_inode_free(struct tree_inode *inode)
{
    if (!inode)
        return;
    free(inode->target);
    xattrs_clear(&inode->xattrs);
    free(inode);
}

static int compare(const void *one, const void *other)
{
    return strcmp(((const struct tree_node *)one)->name, ((const struct tree_node *)other)->name);
}

static struct tree_node *find_child(const struct tree_node *directory, const char *name)
{
    const struct tree_node key = {.name = name};
    struct tree_node *const *found = tfind(&key, &directory->children, compare);
    return found ? *found : NULL;
}

static struct tree_node *node_new(struct tree_node *parent, const char *name, struct tree_inode *inode)
{
    size_t size = strlen(name) + 1;
    struct tree_node *node = must_alloc(sizeof(*node) + size);
    node->name = memcpy(node + 1, name, size);
    node->parent = parent ? parent : node;
    node->depth = parent ? parent->depth + 1 : 0;
    node->inode = inode;
    inode->links++;
    return node;
}

static struct error *attach(struct tree *tree, struct tree_node *parent, const char *name,
    struct tree_inode *inode, struct tree_node **ret_node)
{
    if (tree->node_count >= TREE_NODES_MAX)
        return error_new(
            ERROR_INVALID_ARGUMENT, "the image has more than %d files and directories", TREE_NODES_MAX);
    if (parent->depth >= TREE_DEPTH_MAX)
        return error_new(
            ERROR_INVALID_ARGUMENT, "directories stand more than %d deep inside each other", TREE_DEPTH_MAX);
    struct tree_node *node = node_new(parent, name, inode);
    node->layer = tree->layer;
    if (!tsearch(node, &parent->children, compare))
        abort(); /* no memory for a few pointers, see memory.h */
    parent->child_count++;
    tree->node_count++;
    *ret_node = node;
    return NULL;
}

static struct error *release_inode(struct tree *tree, struct tree_inode *inode)
{
    if (--inode->links > 0)
        return NULL;
    struct error *error = NULL;
    if (S_ISREG(inode->mode) && tree->discard)
        error = tree->discard(tree->context, inode->offset, inode->size);
    tree->xattr_bytes -= inode->xattrs.bytes;
    tree_inode_free(inode);
    return error;
}

static struct error *detach(struct tree *tree, struct tree_node *node)
{
    tdelete(node, &node->parent->children, compare);
    node->parent->child_count--;
    tree->node_count--;
    struct tree_inode *inode = node->inode;
    free(node);
    return release_inode(tree, inode);
}

struct collector {
    struct tree_node **nodes;
    size_t count;
};

static void collect(const void *place, VISIT visit, void *context)
{
    struct collector *collector = context;
    if (visit == postorder || visit == leaf)
        collector->nodes[collector->count++] = *(struct tree_node *const *)place;
}

struct tree_node **tree_children(const struct tree_node *node)
{
    if (node->child_count == 0)
        return NULL;
    struct collector collector = {.nodes = must_alloc_array(node->child_count, sizeof(struct tree_node *))};
    twalk_r(node->children, collect, &collector);
    return collector.nodes;
}

/* Removes the node and what is below it as far as it belongs to layers below `layer`. */
static struct error *remove_below(struct tree *tree, struct tree_node *node, unsigned layer)
{
    _cleanup_free_ struct tree_node **children = tree_children(node);
    for (size_t i = 0, count = node->child_count; i < count; i++)
        TRY(remove_below(tree, children[i], layer));
    return node->layer < layer && node->child_count == 0 ? detach(tree, node) : NULL;
}

/* Names to nodes. */

/* Appends the components of `path` to *clean, which has room for it. */
static struct error *clean_components(const char *path, char *clean)
{
    size_t used = 0;
    for (const char *place = path; *place;) {
        place += strspn(place, "/");
        size_t length = strcspn(place, "/");
        if (length == 2 && strncmp(place, "..", 2) == 0)
            return error_new(
                ERROR_INVALID_ARGUMENT, "the name contains \"..\" and could lead out of the image");
        if (length > TREE_NAME_MAX)
            return error_new(
                ERROR_INVALID_ARGUMENT, "a part of the name is longer than %d bytes", TREE_NAME_MAX);
        if (length > 0 && !(length == 1 && *place == '.')) {
            if (used > 0)
                clean[used++] = '/';
            memcpy(clean + used, place, length);
            used += length;
        }
        place += length;
    }
    clean[used] = '\0';
    return NULL;
}

/* "/usr//./bin/" -> "usr/bin"; the root is "". */
static struct error *clean_path(const char *path, char **ret_clean)
{
    if (strlen(path) > TREE_PATH_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "the name is longer than %d bytes", TREE_PATH_MAX);
    _cleanup_free_ char *clean = must_alloc(strlen(path) + 1);
    TRY(clean_components(path, clean));
    *ret_clean = TAKE_PTR(clean);
    return NULL;
}

static struct error *make_directory(
    struct tree *tree, struct tree_node *parent, const char *name, struct tree_node **ret_node)
{
    _cleanup_tree_inode_ struct tree_inode *inode = tree_inode_new(S_IFDIR | 0755);
    TRY(attach(tree, parent, name, inode, ret_node));
    TAKE_PTR(inode);
    return NULL;
}

struct walk {
    struct tree *tree;
    struct tree_node *at;
    char *rest; /* owned: what is still to go */
    unsigned links;
    bool create;
};

static struct error *follow_link(struct walk *walk, const struct tree_node *link, const char *remainder)
{
    if (++walk->links > TREE_LINKS_MAX)
        return error_new(ERROR_INVALID_ARGUMENT,
            "its directory is reached through more than %d symbolic links", TREE_LINKS_MAX);
    const char *target = link->inode->target;
    char *rest = must_printf("%s/%s", target, remainder);
    if (*target == '/')
        walk->at = walk->tree->root;
    free(walk->rest);
    walk->rest = rest;
    return NULL;
}

/* One component further; walk->at is NULL afterwards when there is nothing of that name. */
static struct error *step(struct walk *walk, const char *name, const char *remainder)
{
    if (strcmp(name, "..") == 0) {
        if (walk->at == walk->tree->root)
            return error_new(ERROR_INVALID_ARGUMENT, "a symbolic link on its way leads out of the image");
        walk->at = walk->at->parent;
    } else {
        if (strlen(name) > TREE_NAME_MAX)
            return error_new(ERROR_INVALID_ARGUMENT,
                "a symbolic link on its way has a part longer than %d bytes", TREE_NAME_MAX);
        struct tree_node *child = find_child(walk->at, name);
        if (!child && walk->create)
            TRY(make_directory(walk->tree, walk->at, name, &child));
        if (child && S_ISLNK(child->inode->mode))
            return follow_link(walk, child, remainder);
        if (child && !S_ISDIR(child->inode->mode))
            return error_new(ERROR_INVALID_ARGUMENT, "\"%s\" on its way is not a directory", name);
        walk->at = child;
    }
    memmove(walk->rest, remainder, strlen(remainder) + 1);
    return NULL;
}

static struct error *walk_all(struct walk *walk)
{
    while (walk->at) {
        char *start = walk->rest + strspn(walk->rest, "/");
        size_t length = strcspn(start, "/");
        if (length == 0)
            return NULL;
        _cleanup_free_ char *name = must_copy_length(start, length);
        const char *remainder = start + length;
        if (strcmp(name, ".") == 0)
            memmove(walk->rest, remainder, strlen(remainder) + 1);
        else
            TRY(step(walk, name, remainder));
    }
    return NULL;
}

/* Where a name stands: its directory (NULL: there is none) and the last part; for the root, itself and "". */
struct place {
    struct tree_node *directory;
    char *name;
};

static void place_clear(struct place *place)
{
    free(place->name);
}

static struct error *find_place(struct tree *tree, const char *path, bool create, struct place *ret_place)
{
    _cleanup_free_ char *clean = NULL;
    TRY(clean_path(path, &clean));
    char *slash = strrchr(clean, '/');
    struct walk walk = {
        .tree = tree,
        .at = tree->root,
        .create = create,
        .rest = slash ? must_copy_length(clean, (size_t)(slash - clean)) : must_copy(""),
    };
    struct error *error = walk_all(&walk);
    free(walk.rest);
    if (!error)
        *ret_place = (struct place){.directory = walk.at, .name = must_copy(slash ? slash + 1 : clean)};
    return error;
}

static struct tree_node *node_at(const struct place *place)
{
    if (!place->directory)
        return NULL;
    return *place->name ? find_child(place->directory, place->name) : place->directory;
}

struct tree_node *tree_find(struct tree *tree, const char *path)
{
    __attribute__((cleanup(place_clear))) struct place place = {0};
    _cleanup_error_ struct error *error = find_place(tree, path, false, &place);
    return error ? NULL : node_at(&place);
}

/* Changes. */

static struct error *set_inode(struct tree *tree, struct tree_node *node, struct tree_inode *inode)
{
    struct tree_inode *old = node->inode;
    node->inode = inode;
    node->layer = tree->layer;
    inode->links++;
    return release_inode(tree, old);
}

/* What stands there makes way for the inode; the caller holds no reference to it afterwards. */
static struct error *put(struct tree *tree, const char *path, struct tree_inode *inode)
{
    __attribute__((cleanup(place_clear))) struct place place = {0};
    TRY(find_place(tree, path, true, &place));
    struct tree_node *node = node_at(&place);
    if (node && S_ISDIR(node->inode->mode) && S_ISDIR(inode->mode))
        return set_inode(tree, node, inode);
    if (node == tree->root)
        return error_new(ERROR_INVALID_ARGUMENT, "the root of the image is not a directory");
    if (node)
        TRY(remove_below(tree, node, tree->layer + 1));
    return attach(tree, place.directory, place.name, inode, &node);
}

struct error *tree_add(struct tree *tree, const char *path, struct tree_inode *inode)
{
    _cleanup_tree_inode_ struct tree_inode *owned = inode;
    if (inode->xattrs.bytes > TREE_XATTR_BYTES_MAX - tree->xattr_bytes)
        return error_new(ERROR_INVALID_ARGUMENT, "the extended attributes of the image take more than %d MiB",
            TREE_XATTR_BYTES_MAX >> 20);
    struct error *error = put(tree, path, inode);
    if (inode->links > 0) {
        TAKE_PTR(owned);
        tree->xattr_bytes += inode->xattrs.bytes;
    }
    return error;
}

struct error *tree_link(struct tree *tree, const char *path, const char *target)
{
    __attribute__((cleanup(place_clear))) struct place place = {0};
    TRY(error_wrap(find_place(tree, target, false, &place), "hard link to \"%.200s\"", target));
    struct tree_node *node = node_at(&place);
    if (!node)
        return error_new(
            ERROR_INVALID_ARGUMENT, "hard link to \"%.200s\", which is not in the image", target);
    if (S_ISDIR(node->inode->mode))
        return error_new(ERROR_INVALID_ARGUMENT, "hard link to the directory \"%.200s\"", target);
    struct tree_inode *inode = node->inode;
    inode->links++; /* so that it outlives its name when that is the one replaced */
    struct error *error = put(tree, path, inode);
    struct error *later = release_inode(tree, inode);
    if (!error)
        return later;
    error_free(later);
    return error;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool tree_is_whiteout(const char *path)
{
    return strncmp(last_part(path), whiteout_prefix, strlen(whiteout_prefix)) == 0;
}

static struct error *hide_children(struct tree *tree, struct tree_node *directory)
{
    _cleanup_free_ struct tree_node **children = tree_children(directory);
    for (size_t i = 0, count = directory->child_count; i < count; i++)
        TRY(remove_below(tree, children[i], tree->layer));
    return NULL;
}

struct error *tree_apply_whiteout(struct tree *tree, const char *path)
{
    __attribute__((cleanup(place_clear))) struct place place = {0};
    TRY(find_place(tree, path, false, &place));
    if (!place.directory)
        return NULL;
    if (strcmp(place.name, opaque_name) == 0)
        return hide_children(tree, place.directory);
    const char *hidden = place.name + strlen(whiteout_prefix);
    /* ".wh..wh.*" is left over from aufs and hides nothing (docker's pkg/archive passes over it too). */
    if (strncmp(hidden, whiteout_prefix, strlen(whiteout_prefix)) == 0)
        return NULL;
    if (*hidden == '\0' || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
        return error_new(ERROR_INVALID_ARGUMENT, "a whiteout that names nothing");
    struct tree_node *node = find_child(place.directory, hidden);
    return node ? remove_below(tree, node, tree->layer) : NULL;
}

/* The tree. */

struct tree *tree_new(tree_discard *discard, void *context)
{
    struct tree *tree = must_new(struct tree);
    tree->discard = discard;
    tree->context = context;
    tree->root = node_new(NULL, "", tree_inode_new(S_IFDIR | 0755));
    tree->node_count = 1;
    return tree;
}

void tree_free(struct tree *tree)
{
    if (!tree)
        return;
    tree->discard = NULL;   /* the file is done with; nothing is to be discarded in it */
    tree->layer = UINT_MAX; /* above every name */
    error_free(hide_children(tree, tree->root));
    tree_inode_free(tree->root->inode);
    free(tree->root);
    free(tree);
}

struct tree_node *tree_root(struct tree *tree)
{
    return tree->root;
}

size_t tree_node_count(const struct tree *tree)
{
    return tree->node_count;
}

void tree_next_layer(struct tree *tree)
{
    tree->layer++;
}
