/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image indexes and manifests of OCI and docker, as strangers wrote them; text in, checked values out.
 * https://github.com/opencontainers/image-spec/blob/main/image-index.md and manifest.md;
 * docker: https://github.com/moby/docker-image-spec (manifest.json of an archive).
 */
#pragma once

#include "image/digest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MANIFEST_BYTES_MAX = 4 << 20, /* what registries accept at most (distribution-spec) */
    MANIFEST_ENTRIES_MAX = 4096,  /* of one index */
};

struct descriptor {
    char *media_type; /* NULL: not said */
    struct digest digest;
    uint64_t size;
};
void descriptor_clear(struct descriptor *descriptor);
#define _cleanup_descriptor_ __attribute__((cleanup(descriptor_clear)))

struct manifest {
    struct descriptor config;
    struct descriptor *layers; /* the lowest first */
    size_t layer_count;
};
void manifest_clear(struct manifest *manifest);
#define _cleanup_manifest_ __attribute__((cleanup(manifest_clear)))

/* One image out of an index. */
struct index_choice {
    struct descriptor descriptor;
    char **names; /* full names of it from annotations, "example.org/debian:12"; may be NULL */
    char *tag;    /* a bare tag, "12"; NULL when there is none */
};
void index_choice_clear(struct index_choice *choice);
#define _cleanup_index_choice_ __attribute__((cleanup(index_choice_clear)))

/* True for text that is an index, not a manifest. */
bool manifest_is_index(const char *media_type, const char *text, size_t length);
/* The image that `tag` names (NULL: any), for this machine's platform. NOT_FOUND with a list of what there
   is: tags when several images remain, platforms when none fits. */
struct error *index_choose(
    const char *name, const char *text, size_t length, const char *tag, struct index_choice *ret_choice);
/* Refuses what is not an image or has layers that are not tar, gzip or zstd. */
struct error *manifest_read(const char *name, const char *text, size_t length, struct manifest *ret_manifest);

/* One image out of the manifest.json of a docker archive; paths are names in the archive. */
struct docker_manifest {
    char *config;
    char **layers;
    char **names;
};
void docker_manifest_clear(struct docker_manifest *manifest);
#define _cleanup_docker_manifest_ __attribute__((cleanup(docker_manifest_clear)))
struct error *docker_manifest_read(
    const char *text, size_t length, const char *tag, struct docker_manifest *ret_manifest);
