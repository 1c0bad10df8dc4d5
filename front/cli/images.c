/* SPDX-License-Identifier: Apache-2.0 */
/* images and rmi: the images that there are. */
#include "base/json.h"
#include "base/strv.h"
#include "cli/listing.h"
#include "cli/verb.h"
#include "client/directories.h"
#include "image/image.h"

#include <stdio.h>
#include <string.h>

#define DIGEST_PREFIX "sha256:"
#define ID_SHORT 12
#define NO_NAME "<none>"

static struct error *open_store(struct directories **ret_directories, struct image_store **ret_store)
{
    TRY(directories_open(ret_directories));
    TRY(image_store_open((*ret_directories)->data, ret_store));
    return image_sweep(*ret_store);
}

/* ---- images ---- */

struct images_settings {
    bool quiet;
    bool no_trunc;
    bool json;
    const char *format;
};

static const struct option images_options[] = {
    LISTING_OPTIONS(images_settings),
    OPTION(images_settings, "no-trunc", 0, OPTION_FLAG, no_trunc, NULL, "whole ids"),
    OPTION(images_settings, "quiet", 'q', OPTION_FLAG, quiet, NULL, "only the ids"),
    OPTIONS_END,
};

static const struct column columns[] = {
    {"Repository", "REPOSITORY"},
    {"Tag", "TAG"},
    {"ID", "IMAGE ID"},
    {"CreatedSince", "CREATED"},
    {"SizeText", "SIZE"},
    {NULL, NULL},
};

/* The last colon after the last slash parts name and tag; a digest is no tag. */
static void split_name(const char *name, char **ret_repository, char **ret_tag)
{
    const char *slash = strrchr(name, '/');
    const char *colon = strchr(slash ?: name, ':');

    if (strchr(name, '@') || !colon) {
        *ret_repository = must_copy_length(name, strcspn(name, "@"));
        *ret_tag = must_copy(NO_NAME);
        return;
    }
    *ret_repository = must_copy_length(name, (size_t)(colon - name));
    *ret_tag = must_copy(colon + 1);
}

static json_t *make_row(const struct image *image, const char *name, bool whole)
{
    _cleanup_free_ char *repository = NULL, *tag = NULL, *created = time_ago(image->created * 1000);
    _cleanup_free_ char *created_at = time_text(image->created * 1000), *size = size_text(image->size);
    const char *hex = image->digest + (whole ? 0 : strlen(DIGEST_PREFIX));
    _cleanup_free_ char *id = must_copy_length(hex, whole ? strlen(hex) : ID_SHORT);

    split_name(name, &repository, &tag);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s}", "Repository", repository,
        "Tag", tag, "Name", name, "ID", id, "Digest", image->digest, "CreatedSince", created, "CreatedAt",
        created_at, "SizeText", size, "Size", (json_int_t)image->size, "Architecture",
        image->architecture ?: "", "RootfsType", image->rootfs_type ?: "");
}

static json_t *make_rows(struct image *const *images, size_t count, const char *wanted, bool whole)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < count; i++) {
        if (!images[i]->names && !wanted)
            json_array_append_new(rows, make_row(images[i], NO_NAME, whole));
        STRV_FOREACH (name, images[i]->names)
            if (!wanted || strstr(*name, wanted))
                json_array_append_new(rows, make_row(images[i], *name, whole));
    }
    return rows;
}

static struct error *list_images(void *context, char **arguments, int *ret_code)
{
    const struct images_settings *settings = context;
    const struct listing_options options = {
        .json = settings->json, .quiet = settings->quiet, .format = settings->format, .quiet_key = "ID"};
    _cleanup_directories_ struct directories *directories = NULL;
    _cleanup_image_store_ struct image_store *store = NULL;
    struct image **images;
    size_t count;

    TRY(open_store(&directories, &store));
    TRY(image_list(store, &images, &count));
    _cleanup_json_ json_t *rows =
        make_rows(images, count, arguments[0], settings->no_trunc || settings->json);
    image_list_free(images, count);
    *ret_code = 0;
    return listing_print(&options, columns, rows);
}

const struct verb verb_images = {
    .name = "images",
    .arguments = "[NAME]",
    .summary = "List images",
    .example = "caisson images --format '{{.Repository}}:{{.Tag}} {{.Size}}'",
    .options = images_options,
    .settings_size = sizeof(struct images_settings),
    .maximum = 1,
    .run = list_images,
};

/* ---- rmi ---- */

struct rmi_settings {
    bool force;
};

static const struct option rmi_options[] = {
    OPTION(rmi_settings, "force", 'f', OPTION_FLAG, force, NULL, "take all names away, whoever uses it"),
    OPTIONS_END,
};

static struct error *remove_one(struct image_store *store, const char *name, bool force)
{
    _cleanup_free_ char *digest = NULL;
    bool deleted;

    TRY(image_remove(store, name, force, &digest, &deleted));
    printf("Untagged: %s\n", name);
    if (deleted)
        printf("Deleted: %s\n", digest);
    return NULL;
}

static struct error *rmi(void *context, char **arguments, int *ret_code)
{
    const struct rmi_settings *settings = context;
    _cleanup_directories_ struct directories *directories = NULL;
    _cleanup_image_store_ struct image_store *store = NULL;

    TRY(open_store(&directories, &store));
    *ret_code = 0;
    STRV_FOREACH (name, arguments) {
        _cleanup_error_ struct error *error = remove_one(store, *name, settings->force);
        if (!error)
            continue;
        complain(error);
        *ret_code = EXIT_RUNTIME_FAILED;
    }
    return NULL;
}

const struct verb verb_rmi = {
    .name = "rmi",
    .arguments = "IMAGE...",
    .summary = "Remove images",
    .example = "caisson rmi debian:12",
    .options = rmi_options,
    .settings_size = sizeof(struct rmi_settings),
    .minimum = 1,
    .maximum = UINT32_MAX,
    .run = rmi,
};
