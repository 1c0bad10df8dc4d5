/* SPDX-License-Identifier: Apache-2.0 */
#include "base/strv.h"

#include "base/memory.h"

#include <string.h>

size_t strv_length(char *const *vector)
{
    size_t length = 0;
    while (vector && vector[length])
        length++;
    return length;
}

void strv_take(char ***vector, char *text)
{
    size_t length = strv_length(*vector);
    *vector = must_resize(*vector, length + 2, sizeof(char *));
    (*vector)[length] = text;
    (*vector)[length + 1] = NULL;
}

void strv_append(char ***vector, const char *text)
{
    strv_take(vector, must_copy(text));
}

void strv_append_printf(char ***vector, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = must_vprintf(format, arguments);
    va_end(arguments);
    strv_take(vector, text);
}

void strv_extend(char ***vector, char *const *more)
{
    STRV_FOREACH (item, more)
        strv_append(vector, *item);
}

char **strv_copy(char *const *vector)
{
    size_t length = strv_length(vector);
    char **copy = must_alloc_array(length + 1, sizeof(char *));
    for (size_t i = 0; i < length; i++)
        copy[i] = must_copy(vector[i]);
    return copy;
}

bool strv_contains(char *const *vector, const char *text)
{
    STRV_FOREACH (item, vector) {
        if (strcmp(*item, text) == 0)
            return true;
    }
    return false;
}

char **strv_split(const char *text, char separator)
{
    char **pieces = NULL;
    for (;;) {
        const char *end = strchrnul(text, separator);
        strv_take(&pieces, must_copy_length(text, (size_t)(end - text)));
        if (!*end)
            return pieces;
        text = end + 1;
    }
}

char *strv_join(char *const *vector, const char *separator)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        abort();
    STRV_FOREACH (item, vector)
        fprintf(stream, "%s%s", item == vector ? "" : separator, *item);
    fclose(stream);
    return text;
}

void strv_free(char **vector)
{
    if (!vector)
        return;
    for (char **item = vector; *item; item++)
        free(*item);
    free(vector);
}
