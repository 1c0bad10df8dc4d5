/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inih does the parsing; it gives neither line numbers nor headings without keys, cuts long lines in two and
 * takes an indented line for the continuation of the one before. So lines are handed to it one by one,
 * counted, measured and without their indentation.
 */
#include "config/file.h"

#include <ini.h>
#include <stdbool.h>
#include <string.h>

struct source {
    const char *name;
    const char *next; /* of what inih has not read yet */
    const char *end;
    unsigned line;
    const struct config_reader *reader;
    struct error *error;
    unsigned error_line;
};

static void fail(struct source *source, struct error *error)
{
    source->error = error_wrap(error, "%s:%u", source->name, source->line);
    source->error_line = source->line;
}

static struct error *check_line(const char *line, size_t length)
{
    if (length > CONFIG_LINE_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "the line is longer than %d characters", CONFIG_LINE_MAX);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < ' ' && line[i] != '\t' && line[i] != '\r')
            return error_new(ERROR_INVALID_ARGUMENT, "the line has a control character");
    return NULL;
}

static struct error *tell_section(struct source *source, const char *line, size_t length)
{
    const char *end = memchr(line, ']', length);
    if (*line != '[')
        return NULL;
    if (!end)
        return error_new(ERROR_INVALID_ARGUMENT, "the heading lacks its \"]\"");
    _cleanup_free_ char *name = must_copy_length(line + 1, (size_t)(end - line - 1));
    return source->reader->section(source->reader->context, source->line, name);
}

/* inih's fgets. */
static char *read_line(char *buffer, int size, void *stream)
{
    struct source *source = stream;
    if (source->error || source->next == source->end)
        return NULL;
    const char *line = source->next;
    const char *newline = memchr(line, '\n', (size_t)(source->end - line));
    source->next = newline ? newline + 1 : source->end;
    source->line++;
    size_t length = (size_t)((newline ? newline : source->end) - line);
    for (; length > 0 && (*line == ' ' || *line == '\t'); line++)
        length--;
    struct error *error = check_line(line, length);
    if (!error && length > 0)
        error = tell_section(source, line, length);
    if (error || length + 1 > (size_t)size) {
        fail(source, error ? error : error_new(ERROR_INVALID_ARGUMENT, "the line is too long"));
        return NULL;
    }
    memcpy(buffer, line, length);
    buffer[length] = '\0';
    return buffer;
}

static int take_assignment(void *context, const char *section, const char *key, const char *value)
{
    struct source *source = context;
    if (source->error)
        return 0;
    struct error *error =
        source->reader->assign(source->reader->context, source->line, section, key, value ? value : "");
    if (error)
        fail(source, error);
    return error == NULL;
}

struct error *config_file_parse(
    const char *name, const char *text, size_t length, const struct config_reader *reader)
{
    struct source source = {.name = name, .next = text, .end = text + length, .reader = reader};
    int wrong = ini_parse_stream(read_line, &source, take_assignment, &source);
    /* inih goes on after a line that it does not understand. */
    if (wrong > 0 && (!source.error || (unsigned)wrong < source.error_line)) {
        error_free(source.error);
        return error_new(ERROR_INVALID_ARGUMENT, "%s:%d: neither a [heading], nor KEY = VALUE, nor a comment",
            name, wrong);
    }
    return source.error;
}
