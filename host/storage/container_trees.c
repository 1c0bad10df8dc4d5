/* SPDX-License-Identifier: Apache-2.0 */
/* What of a container's world the file server sees: its root file system, where that is a tree, and its
   volumes. */
#include "storage/model.h"

#include "base/path.h"
#include "base/strv.h"

#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static struct mounter_tree *add_tree(struct container_storage *container)
{
    container->trees = must_resize(container->trees, container->tree_count + 1, sizeof(*container->trees));
    struct mounter_tree *tree = &container->trees[container->tree_count++];
    *tree = (struct mounter_tree){.directory = true};
    return tree;
}

/* ---- the root file system ---- */

/* Of mounts at the same place, the last one is what is seen. */
static struct error *find_root(struct mounter_tree *tree)
{
    bool found = false;
    for (size_t i = 0; i < tree->call_count; i++) {
        if (tree->calls[i].target)
            continue;
        tree->root = i;
        found = true;
    }
    if (!found)
        return error_new(ERROR_INVALID_ARGUMENT, "no mount of the root file system is the root itself");
    return NULL;
}

/* Said here, where the name of what is missing is known. */
static struct error *check_source(const struct mount_call *call)
{
    struct stat status;
    if (((call->flags & MS_BIND) || call->loop) && stat(call->source, &status) < 0)
        return error_errno(errno, "root file system %s", call->source);
    return NULL;
}

struct error *container_read_rootfs(
    struct container_storage *container, const struct storage_source *sources, size_t count)
{
    struct mounter_tree *tree = add_tree(container);
    _cleanup_strv_ char **places = NULL;
    tree->target = must_printf("/%s/rootfs", container->id);
    tree->calls = must_alloc_array(count, sizeof(*tree->calls));
    for (size_t i = 0; i < count; i++)
        strv_take(&places, mounter_place(i));
    for (size_t i = 0; i < count; i++) {
        TRY(mount_call_read(sources, i, places, &tree->calls[i]));
        tree->call_count++;
        if (!mount_type_has(sources[i].type, "format"))
            TRY(check_source(&tree->calls[i]));
    }
    container->rootfs = container_keep(container, must_printf(GUEST_SHARE "%s", tree->target));
    return find_root(tree);
}

/* ---- volumes ---- */

/* A directory is shared as N, a file as N/NAME: it keeps its name, and its directory holds nothing else. */
static struct error *read_bind(struct container_storage *container, const struct storage_bind *bind)
{
    _cleanup_free_ char *source = NULL;
    struct error *error = path_resolve(bind->source, &source);
    if (error)
        return error_wrap(error, "volume");
    struct stat status;
    if (stat(source, &status) < 0)
        return error_errno(errno, "volume %s", bind->source);
    size_t index = container->bind_count++;
    const char *slash = strrchr(source, '/');
    struct mounter_tree *tree = add_tree(container);
    tree->directory = S_ISDIR(status.st_mode);
    tree->read_only = bind->read_only;
    tree->follows = bind->follows;
    tree->target = tree->directory
                       ? must_printf("/%s/%zu", container->id, index)
                       : must_printf("/%s/%zu/%s", container->id, index, slash ? slash + 1 : source);
    tree->source = TAKE_PTR(source);
    strv_append_printf(&container->bind_paths, GUEST_SHARE "%s", tree->target);
    return NULL;
}

struct error *container_read_binds(
    struct container_storage *container, const struct storage_bind *binds, size_t count)
{
    if (count > STORAGE_BINDS_MAX)
        return error_new(
            ERROR_RESOURCE_EXHAUSTED, "%zu volumes; a container can have %d", count, STORAGE_BINDS_MAX);
    for (size_t i = 0; i < count; i++)
        TRY(read_bind(container, &binds[i]));
    return NULL;
}

void container_trees_free(struct container_storage *container)
{
    for (size_t i = 0; i < container->tree_count; i++) {
        struct mounter_tree *tree = &container->trees[i];
        for (size_t call = 0; call < tree->call_count; call++)
            mount_call_clear(&tree->calls[call]);
        free(tree->calls);
        free(tree->source);
        free(tree->target);
    }
    free(container->trees);
}
