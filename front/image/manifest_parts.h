/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by manifest.c and index.c.
 */
#pragma once

#include "image/manifest.h"

#include "base/json.h"

/* `path` is the object's place in errors. */
struct error *descriptor_read(const json_t *object, const char *path, struct descriptor *ret_descriptor);
