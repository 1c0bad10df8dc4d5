/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/shape.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Errors end up on one line of a log or a terminal. */
#define QUOTED_MAX 80

static void write_quoted(FILE *out, const char *text)
{
    size_t length = strnlen(text, QUOTED_MAX + 1);

    fputc('"', out);
    for (size_t i = 0; i < length && i < QUOTED_MAX; i++) {
        unsigned char byte = (unsigned char)text[i];
        fputc(byte < 0x20 || byte == 0x7f || byte == '"' ? '?' : byte, out);
    }
    fputs(length > QUOTED_MAX ? "...\"" : "\"", out);
}

static void write_place(FILE *out, const struct oci_place *place)
{
    if (!place->parent) {
        fprintf(out, "%s: ", place->key);
        return;
    }
    write_place(out, place->parent);
    if (!place->key)
        fprintf(out, "[%zu]", place->index);
    else if (place->quoted) {
        fputc('[', out);
        write_quoted(out, place->key);
        fputc(']', out);
    } else
        fprintf(out, "%s%s", place->parent->parent ? "." : "", place->key);
}

/* "config.json: process.cwd: " and the reason. */
static struct error *refuse(const struct oci_place *place, const char *quoted, const char *reason)
{
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    if (!out)
        return error_new(ERROR_INVALID_ARGUMENT, "%s", reason);
    write_place(out, place);
    if (place->parent)
        fputs(": ", out);
    if (quoted) {
        write_quoted(out, quoted);
        fputc(' ', out);
    }
    fputs(reason, out);
    fclose(out);
    return error_new(ERROR_INVALID_ARGUMENT, "%s", text);
}

struct error *oci_refuse(const struct oci_place *place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    _cleanup_free_ char *reason = must_vprintf(format, arguments);
    va_end(arguments);
    return refuse(place, NULL, reason);
}

struct error *oci_refuse_text(const struct oci_place *place, const char *text, const char *reason)
{
    return refuse(place, text, reason);
}
