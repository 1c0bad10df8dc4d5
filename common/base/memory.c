/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_abort(void *pointer)
{
    if (!pointer) {
        fputs("caisson: out of memory\n", stderr);
        abort();
    }
    return pointer;
}

void *must_alloc(size_t size)
{
    return or_abort(calloc(1, size ? size : 1));
}

void *must_alloc_array(size_t count, size_t size)
{
    return or_abort(calloc(count ? count : 1, size ? size : 1));
}

void *must_resize(void *pointer, size_t count, size_t size)
{
    return or_abort(reallocarray(pointer, count ? count : 1, size ? size : 1));
}

char *must_copy(const char *text)
{
    return or_abort(strdup(text));
}

char *must_copy_length(const char *text, size_t length)
{
    return or_abort(strndup(text, length));
}

char *must_copy_or_null(const char *text)
{
    return text ? must_copy(text) : NULL;
}

char *must_vprintf(const char *format, va_list arguments)
{
    char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    return or_abort(text);
}

char *must_printf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = must_vprintf(format, arguments);
    va_end(arguments);
    return text;
}
