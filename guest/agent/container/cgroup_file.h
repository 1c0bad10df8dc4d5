/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a cgroup directory. Written with one write(2) and never created; read in whole.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The errno of the kernel stays in the error: ENOENT is a controller that is off. */
struct error *cgroup_file_write(int directory, const char *name, const char *text);
struct error *cgroup_file_printf(int directory, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct error *cgroup_file_read(int directory, const char *name, char **ret_text);

/* The number that is the file's first line; "max" is UINT64_MAX. False where it cannot be read. */
bool cgroup_file_number(int directory, const char *name, uint64_t *ret_value);
/* The number behind a key in a text of "key number" lines. False where there is none. */
bool cgroup_text_value(const char *text, const char *key, uint64_t *ret_value);
