/* SPDX-License-Identifier: Apache-2.0 */
/* Two texts that differ in one place, as all of ours do: one hunk between their common beginning and end. */
#include "base/strv.h"
#include "cli/setup.h"

#include <stdio.h>
#include <string.h>

#define CONTEXT 3

/* Lines without their ends; a last one without an end gets "\\" lines as diff writes them. */
static char **lines_of(const char *text)
{
    char **lines = NULL;
    while (text && *text) {
        size_t length = strcspn(text, "\n");
        if (text[length])
            strv_take(&lines, must_copy_length(text, length));
        else
            strv_append_printf(&lines, "%s\n\\ No newline at end of file", text);
        text += length + (text[length] == '\n');
    }
    return lines;
}

static size_t common_head(char *const *one, char *const *other)
{
    size_t count = 0;
    while (one && other && one[count] && other[count] && strcmp(one[count], other[count]) == 0)
        count++;
    return count;
}

static size_t common_tail(char *const *one, char *const *other, size_t head)
{
    size_t length = strv_length(one), width = strv_length(other), count = 0;
    while (length - count > head && width - count > head &&
           strcmp(one[length - count - 1], other[width - count - 1]) == 0)
        count++;
    return count;
}

static void put_lines(FILE *out, char mark, char *const *lines, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        fprintf(out, "%c%s\n", mark, lines[i]);
}

static void put_range(FILE *out, char mark, size_t from, size_t to)
{
    fprintf(out, "%c%zu,%zu ", mark, to > from ? from + 1 : from, to - from);
}

static void put_hunk(FILE *out, char *const *before, char *const *after)
{
    size_t head = common_head(before, after), tail = common_tail(before, after, head);
    size_t start = head > CONTEXT ? head - CONTEXT : 0;
    size_t old_end = strv_length(before) - tail, new_end = strv_length(after) - tail;
    size_t more = tail < CONTEXT ? tail : CONTEXT;
    fputs("@@ ", out);
    put_range(out, '-', start, old_end + more);
    put_range(out, '+', start, new_end + more);
    fputs("@@\n", out);
    put_lines(out, ' ', before, start, head);
    put_lines(out, '-', before, head, old_end);
    put_lines(out, '+', after, head, new_end);
    put_lines(out, ' ', before, old_end, old_end + more);
}

char *setup_diff(const char *path, const char *before, const char *after)
{
    char *text = NULL;
    size_t length;
    if (before && after && strcmp(before, after) == 0)
        return must_copy("");
    _cleanup_strv_ char **old = lines_of(before), **new = lines_of(after);
    FILE *out = open_memstream(&text, &length);
    if (!out)
        abort();
    fprintf(out, "--- %s\n+++ %s\n", before ? path : "/dev/null", after ? path : "/dev/null");
    put_hunk(out, old, new);
    fclose(out);
    return text;
}
