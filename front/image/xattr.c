/* SPDX-License-Identifier: Apache-2.0 */
#include "image/xattr.h"

#include <stdbool.h>
#include <string.h>

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool kept(const char *name)
{
    static const char *const prefixes[] = {"user.", "trusted.", "security."};
    if (starts_with(name, "trusted.overlay.") || starts_with(name, "user.overlay."))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (starts_with(name, prefixes[i]))
            return name[strlen(prefixes[i])] != '\0';
    return strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "system.posix_acl_default") == 0;
}

static struct xattr *find(const struct xattrs *xattrs, const char *name)
{
    for (size_t i = 0; i < xattrs->count; i++)
        if (strcmp(xattrs->items[i].name, name) == 0)
            return &xattrs->items[i];
    return NULL;
}

static struct xattr *append(struct xattrs *xattrs, const char *name)
{
    xattrs->items = must_resize(xattrs->items, xattrs->count + 1, sizeof(*xattrs->items));
    struct xattr *item = &xattrs->items[xattrs->count++];
    *item = (struct xattr){.name = must_copy(name)};
    xattrs->bytes += strlen(name) + 1;
    return item;
}

struct error *xattrs_set(struct xattrs *xattrs, const char *name, const void *value, size_t length)
{
    if (!kept(name))
        return NULL;
    if (strlen(name) > XATTR_NAME_LENGTH_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "extended attribute \"%.40s...\" has a name of %zu bytes",
            name, strlen(name));
    struct xattr *item = find(xattrs, name);
    size_t others = xattrs->bytes - (item ? item->length : 0) + (item ? 0 : strlen(name) + 1);
    if (length > XATTR_BYTES_MAX || others > XATTR_BYTES_MAX - length)
        return error_new(ERROR_INVALID_ARGUMENT,
            "extended attribute %s: the attributes take more than %d bytes together", name, XATTR_BYTES_MAX);
    if (!item)
        item = append(xattrs, name);
    xattrs->bytes = others + length;
    free(item->value);
    item->value = must_alloc(length + 1);
    memcpy(item->value, value, length);
    item->length = length;
    return NULL;
}

void xattrs_clear(struct xattrs *xattrs)
{
    for (size_t i = 0; i < xattrs->count; i++) {
        free(xattrs->items[i].name);
        free(xattrs->items[i].value);
    }
    free(xattrs->items);
    *xattrs = (struct xattrs){0};
}
