/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration document of an image, as strangers wrote it.
 * https://github.com/opencontainers/image-spec/blob/main/config.md; docker's differs only in what it adds.
 */
#pragma once

#include "image/digest.h"
#include "image/image.h"

#include "base/json.h"

enum {
    DOCUMENT_BYTES_MAX = 8 << 20,
    DOCUMENT_STRINGS_MAX = 16384, /* elements of one list */
};

struct document {
    char *architecture; /* "amd64" */
    char *system;       /* "linux" */
    int64_t created;    /* seconds since 1970, 0 when not said */
    struct digest *contents;
    size_t contents_count; /* diff_ids: one a layer, the lowest first */
    struct image_config config;
};

/* `name` is the document's in errors. */
struct error *document_read(const char *name, const char *text, size_t length, struct document *ret_document);
/* The same from a value. */
struct error *document_take(const char *name, const json_t *value, struct document *ret_document);
void document_clear(struct document *document);
#define _cleanup_document_ __attribute__((cleanup(document_clear)))

void image_config_clear(struct image_config *config);

/* How OCI calls this machine: "amd64", "arm64", "riscv64". */
const char *architecture_here(void);
