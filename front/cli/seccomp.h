/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seccomp profiles: the default one, and files in docker's format (which the OCI's own is a part of).
 */
#pragma once

#include "base/error.h"

#include <jansson.h>

/* The linux.seccomp of config.json that in effect is docker's default: what a container of these capabilities
   ("CAP_..." names) has no business with answers EPERM. A new object. */
json_t *seccomp_default(char *const *capabilities);

/* Reads docker's format: rules with `includes` and `excludes` are decided for these capabilities. */
struct error *seccomp_read_file(const char *path, char *const *capabilities, json_t **ret_profile);
