/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vectors of strings that end with NULL, as execve takes them. The empty vector may be NULL.
 */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

size_t strv_length(char *const *vector);
/* Appends; the vector is reallocated in place. */
void strv_append(char ***vector, const char *text);
/* Appends and takes ownership of the text. */
void strv_take(char ***vector, char *text);
void strv_append_printf(char ***vector, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends copies of all of the other vector, which may be NULL. */
void strv_extend(char ***vector, char *const *more);
char **strv_copy(char *const *vector);
bool strv_contains(char *const *vector, const char *text);
/* Splits at each occurrence of the separator; empty pieces are kept. Never NULL. */
char **strv_split(const char *text, char separator);
/* The elements with the separator between them. */
char *strv_join(char *const *vector, const char *separator);
void strv_free(char **vector);

DEFINE_CLEANUP(char **, strv_free);
#define _cleanup_strv_ _cleanup_(strv_free)

#define STRV_FOREACH(item, vector) for (char *const *item = (vector); item && *item; item++)
