/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choosing an image from an index: first by tag, then by platform. An index of a layout may hold several
 * images with different tags, each perhaps for one platform; an index of a registry holds one image for
 * several.
 */
#include "image/document.h"
#include "image/manifest.h"
#include "image/manifest_parts.h"

#include "base/strv.h"

#include <string.h>

struct entry {
    struct descriptor descriptor;
    const char *reference; /* org.opencontainers.image.ref.name: a tag or a full name */
    const char *name;      /* io.containerd.image.name: a full name, as docker save and ctr write it */
    const char *system;    /* NULL: no platform is given */
    const char *architecture;
    const char *variant;
};

struct index {
    json_t *root;
    struct entry *entries;
    size_t count;
};

static void index_clear(struct index *index)
{
    for (size_t i = 0; i < index->count; i++)
        descriptor_clear(&index->entries[i].descriptor);
    free(index->entries);
    json_decref(index->root);
}

void index_choice_clear(struct index_choice *choice)
{
    descriptor_clear(&choice->descriptor);
    strv_free(choice->names);
    free(choice->tag);
    *choice = (struct index_choice){0};
}

static struct error *read_entry(const json_t *object, const char *path, struct entry *entry)
{
    json_t *annotations = NULL;
    json_t *platform = NULL;
    _cleanup_free_ char *platform_path = must_printf("%s.platform", path);
    _cleanup_free_ char *annotations_path = must_printf("%s.annotations", path);
    TRY(descriptor_read(object, path, &entry->descriptor));
    TRY(json_get_object(object, path, "annotations", &annotations));
    TRY(json_get_string(
        annotations, annotations_path, "org.opencontainers.image.ref.name", &entry->reference));
    TRY(json_get_string(annotations, annotations_path, "io.containerd.image.name", &entry->name));
    TRY(json_get_object(object, path, "platform", &platform));
    TRY(json_get_string(platform, platform_path, "os", &entry->system));
    TRY(json_get_string(platform, platform_path, "architecture", &entry->architecture));
    return json_get_string(platform, platform_path, "variant", &entry->variant);
}

static struct error *read_index(const char *name, const char *text, size_t length, struct index *index)
{
    json_t *manifests = NULL;
    size_t i;
    json_t *item;
    TRY(json_read(name, text, length, &index->root));
    if (!json_is_object(index->root))
        return error_new(ERROR_INVALID_ARGUMENT, "%s must be an object", name);
    TRY(json_get_array(index->root, name, "manifests", &manifests));
    if (json_array_size(manifests) > MANIFEST_ENTRIES_MAX)
        return error_new(
            ERROR_INVALID_ARGUMENT, "%s lists more than %d manifests", name, MANIFEST_ENTRIES_MAX);
    index->entries = must_alloc_array(json_array_size(manifests) + 1, sizeof(*index->entries));
    json_array_foreach (manifests, i, item) {
        _cleanup_free_ char *path = must_printf("%s: manifests[%zu]", name, i);
        TRY(read_entry(item, path, &index->entries[index->count++]));
    }
    return NULL;
}

static bool tag_fits(const struct entry *entry, const char *tag)
{
    if (!tag)
        return true;
    const char *colon = entry->name ? strrchr(entry->name, ':') : NULL;
    return (entry->reference && strcmp(entry->reference, tag) == 0) ||
           (entry->name && strcmp(entry->name, tag) == 0) || (colon && strcmp(colon + 1, tag) == 0);
}

/* Higher is better, 0 does not fit. Of variants the plain one is the safest: the guest's processor may be an
   emulated one (TCG has no AVX-512, so no v4). */
static int platform_score(const struct entry *entry)
{
    if (!entry->system)
        return 1; /* the image's own configuration will tell */
    if (strcmp(entry->system, "linux") != 0 || !entry->architecture ||
        strcmp(entry->architecture, architecture_here()) != 0)
        return 0;
    static const struct {
        const char *variant;
        int score;
    } variants[] = {{"", 5}, {"v1", 5}, {"v8", 5}, {"v2", 4}, {"v3", 3}};
    for (size_t i = 0; i < ARRAY_SIZE(variants); i++)
        if (strcmp(entry->variant ? entry->variant : "", variants[i].variant) == 0)
            return variants[i].score;
    return 0;
}

static const char *reference_of(const struct entry *entry)
{
    if (entry->name)
        return entry->name;
    return entry->reference ? entry->reference : "";
}

/* Two entries that differ in nothing but the platform are one image. */
static bool several_images(const struct index *index, const char *tag)
{
    const char *first = NULL;
    for (size_t i = 0; i < index->count; i++) {
        const struct entry *entry = &index->entries[i];
        if (!tag_fits(entry, tag) || platform_score(entry) == 0)
            continue;
        if (first && strcmp(first, reference_of(entry)) != 0)
            return true;
        first = reference_of(entry);
    }
    return false;
}

static struct error *refuse_several(const struct index *index)
{
    _cleanup_strv_ char **tags = NULL;
    for (size_t i = 0; i < index->count; i++)
        strv_append(
            &tags, *reference_of(&index->entries[i]) ? reference_of(&index->entries[i]) : "(no name)");
    _cleanup_free_ char *list = strv_join(tags, ", ");
    return error_new(ERROR_INVALID_ARGUMENT,
        "it holds several images; say which one by adding \":TAG\" (there are: %.2000s)", list);
}

static struct error *refuse_tag(const struct index *index, const char *tag)
{
    _cleanup_strv_ char **tags = NULL;
    for (size_t i = 0; i < index->count; i++)
        if (*reference_of(&index->entries[i]))
            strv_append(&tags, reference_of(&index->entries[i]));
    _cleanup_free_ char *list = tags ? strv_join(tags, ", ") : must_copy("none has a tag");
    if (!tag)
        return error_new(ERROR_NOT_FOUND, "it holds no image");
    return error_new(ERROR_NOT_FOUND, "no image in it has the tag \"%s\" (there are: %.2000s)", tag, list);
}

static struct error *refuse_platform(const struct index *index)
{
    _cleanup_strv_ char **platforms = NULL;
    for (size_t i = 0; i < index->count; i++) {
        const struct entry *entry = &index->entries[i];
        if (!entry->system || strcmp(entry->system, "unknown") == 0) /* attestations, not images */
            continue;
        _cleanup_free_ char *platform =
            must_printf("%s/%s%s%s", entry->system, entry->architecture ? entry->architecture : "unknown",
                entry->variant ? "/" : "", entry->variant ? entry->variant : "");
        if (!strv_contains(platforms, platform))
            strv_append(&platforms, platform);
    }
    _cleanup_free_ char *list = platforms ? strv_join(platforms, ", ") : must_copy("no platform at all");
    return error_new(
        ERROR_NOT_FOUND, "the image is not made for linux/%s, only for: %.2000s", architecture_here(), list);
}

static void fill_choice(struct entry *entry, struct index_choice *choice)
{
    *choice = (struct index_choice){.descriptor = entry->descriptor};
    entry->descriptor = (struct descriptor){0};
    const char *reference = entry->reference;
    bool full = reference && strpbrk(reference, ":/");
    if (entry->name)
        strv_append(&choice->names, entry->name);
    else if (full)
        strv_append(&choice->names, reference);
    if (reference && !full)
        choice->tag = must_copy(reference);
}

static struct error *choose(struct index *index, const char *tag, struct index_choice *ret_choice)
{
    struct entry *best = NULL;
    bool tag_seen = false;
    if (several_images(index, tag))
        return refuse_several(index);
    for (size_t i = 0; i < index->count; i++) {
        struct entry *entry = &index->entries[i];
        if (!tag_fits(entry, tag))
            continue;
        tag_seen = true;
        if (platform_score(entry) > (best ? platform_score(best) : 0))
            best = entry;
    }
    if (!tag_seen)
        return refuse_tag(index, tag);
    if (!best)
        return refuse_platform(index);
    fill_choice(best, ret_choice);
    return NULL;
}

struct error *index_choose(
    const char *name, const char *text, size_t length, const char *tag, struct index_choice *ret_choice)
{
    struct index index = {0};
    struct error *error = read_index(name, text, length, &index);
    if (!error)
        error = choose(&index, tag, ret_choice);
    index_clear(&index);
    return error;
}
