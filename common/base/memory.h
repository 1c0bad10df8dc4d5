/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small allocations that always succeed.
 *
 * With overcommit, malloc of a few bytes does not fail before the kernel ends the process, so a branch for
 * it would be code that never ran. These calls end the process instead (abort, with a line on stderr).
 * They are for sizes that this program bounds; a size that a stranger chose is checked first.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#define ARRAY_SIZE(array)                 \
    (sizeof(array) / sizeof((array)[0]) + \
        0 * sizeof(char[1 - 2 * __builtin_types_compatible_p(__typeof__(array), __typeof__(&(array)[0]))]))

/* Zeroed. */
void *must_alloc(size_t size) __attribute__((malloc, returns_nonnull));
/* Zeroed array; the product may not overflow. */
void *must_alloc_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* As realloc for an array of count elements; new elements are not zeroed. */
void *must_resize(void *pointer, size_t count, size_t size) __attribute__((returns_nonnull));
char *must_copy(const char *text) __attribute__((malloc, returns_nonnull, nonnull));
char *must_copy_length(const char *text, size_t length) __attribute__((malloc, returns_nonnull));
/* NULL for NULL. */
char *must_copy_or_null(const char *text) __attribute__((malloc));
char *must_printf(const char *format, ...) __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));
char *must_vprintf(const char *format, va_list arguments)
    __attribute__((malloc, returns_nonnull, format(printf, 1, 0)));

#define must_new(type) ((type *)must_alloc(sizeof(type)))
