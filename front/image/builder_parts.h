/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a builder, for the files that feed it.
 */
#pragma once

#include "image/builder.h"
#include "image/erofs.h"

struct builder {
    struct output *output;
    struct erofs_writer *writer;
    struct tree *tree;
    uint64_t contents; /* bytes of all files so far, also of those that a later layer replaced */
};

/* Adds to the contents, or refuses. */
struct error *builder_count_contents(struct builder *builder, uint64_t size);
