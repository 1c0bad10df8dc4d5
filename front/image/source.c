/* SPDX-License-Identifier: Apache-2.0 */
#include "image/image.h"

#include <string.h>
#include <sys/stat.h>

static const struct prefix {
    const char *text;
    enum image_source_kind kind;
    bool tagged; /* PATH[:TAG] */
} prefixes[] = {
    {"oci:", IMAGE_SOURCE_LAYOUT, true},
    {"oci-archive:", IMAGE_SOURCE_ARCHIVE, true},
    {"docker-archive:", IMAGE_SOURCE_ARCHIVE, true},
    {"dir:", IMAGE_SOURCE_DIRECTORY, false},
    {"tar:", IMAGE_SOURCE_TAR, false},
};

static const struct prefix *prefix_of(const char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (strncmp(text, prefixes[i].text, strlen(prefixes[i].text)) == 0)
            return &prefixes[i];
    return NULL;
}

bool image_source_has_prefix(const char *text)
{
    return prefix_of(text) != NULL;
}

void image_source_clear(struct image_source *source)
{
    free(source->path);
    free(source->tag);
    *source = (struct image_source){0};
}

/* A path may contain a colon itself: the whole is a path when such a file is there. The tag of a docker
   archive
   ("name:tag") may have one too, so the first colon ends the path. */
static void split_tag(const char *text, struct image_source *source)
{
    struct stat status;
    const char *slash = strrchr(text, '/');
    const char *colon = strchr(text, ':');
    if (slash && colon && colon < slash && stat(text, &status) < 0) {
        _cleanup_free_ char *before = must_copy_length(text, (size_t)(colon - text));
        if (stat(before, &status) < 0)
            colon = strchr(slash, ':');
    }
    if (!colon || stat(text, &status) == 0) {
        source->path = must_copy(text);
        return;
    }
    source->path = must_copy_length(text, (size_t)(colon - text));
    source->tag = colon[1] ? must_copy(colon + 1) : NULL;
}

static enum image_source_kind guess_kind(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0 || !S_ISDIR(status.st_mode))
        return IMAGE_SOURCE_ARCHIVE;
    _cleanup_free_ char *index = must_printf("%s/index.json", path);
    return stat(index, &status) == 0 ? IMAGE_SOURCE_LAYOUT : IMAGE_SOURCE_DIRECTORY;
}

struct error *image_source_parse(const char *text, struct image_source *ret_source)
{
    struct image_source source = {0};
    const struct prefix *prefix = prefix_of(text);
    const char *rest = prefix ? text + strlen(prefix->text) : text;
    if (*rest == '\0')
        return error_new(ERROR_INVALID_ARGUMENT, "\"%s\" names no image: a path is missing", text);
    if (prefix && !prefix->tagged)
        source.path = must_copy(rest);
    else
        split_tag(rest, &source);
    source.kind = prefix ? prefix->kind : guess_kind(source.path);
    for (size_t length = strlen(source.path); length > 1 && source.path[length - 1] == '/'; length--)
        source.path[length - 1] = '\0';
    *ret_source = source;
    return NULL;
}
