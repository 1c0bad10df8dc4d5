/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Environments of containers: what the image says, then files, then options; each later NAME replaces an
 * earlier one.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* Sets NAME=VALUE in the vector; NAME alone takes this process's value, or removes the variable where this
   process has none. INVALID_ARGUMENT for an empty name. */
struct error *environment_set(char ***environment, const char *assignment);
/* One assignment a line; empty lines and lines that begin with # are passed over. */
struct error *environment_read_file(char ***environment, const char *path);
/* The value, borrowed, or NULL. */
const char *environment_get(char *const *environment, const char *name);
/* Adds NAME=VALUE where NAME is not set. */
void environment_default(char ***environment, const char *name, const char *value);
