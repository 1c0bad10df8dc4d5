/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an image is made of, found in the files of a layout or archive: its configuration, checked against
 * its digest and this machine, and where its layers are.
 */
#pragma once

#include "image/document.h"
#include "image/files.h"
#include "image/manifest.h"

struct layer {
    char *path; /* in the files */
    bool has_digest;
    struct digest digest; /* of the blob as stored */
    uint64_t size;
};

struct parts {
    char *config; /* the configuration document as text */
    size_t config_length;
    struct digest digest; /* its digest: the image's */
    struct document document;
    bool has_manifest_digest;
    struct digest manifest_digest;
    struct layer *layers; /* as many as document.contents_count */
    size_t layer_count;
    char **names; /* full names that came with it */
    char *tag;    /* a bare tag that came with it, or NULL */
};

struct error *parts_read(const struct files *files, const char *tag, struct parts *ret_parts);
void parts_clear(struct parts *parts);
#define _cleanup_parts_ __attribute__((cleanup(parts_clear)))
