/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cursor over the text; each take_* moves it behind what it took or fails at the line where it stands. A
 * value is only measured: strings of the four kinds and balanced brackets are followed to the end of the line
 * that ends it.
 */
#include "cli/setup_toml.h"

#include "base/parse.h"
#include "base/strv.h"

#include <ctype.h>
#include <string.h>

struct cursor {
    const char *name;
    const char *at;
    const char *end;
    unsigned line;
};

static struct error *wrong(const struct cursor *cursor, const char *what)
{
    return error_new(ERROR_INVALID_ARGUMENT, "%s:%u: %s", cursor->name, cursor->line, what);
}

static char peek(const struct cursor *cursor)
{
    return cursor->at < cursor->end ? *cursor->at : '\0';
}

static bool looking_at(const struct cursor *cursor, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(cursor->end - cursor->at) >= length && memcmp(cursor->at, text, length) == 0;
}

static void skip_blanks(struct cursor *cursor)
{
    while (peek(cursor) == ' ' || peek(cursor) == '\t')
        cursor->at++;
}

static void skip_comment(struct cursor *cursor)
{
    while (cursor->at < cursor->end && *cursor->at != '\n')
        cursor->at++;
}

static void skip_line_end(struct cursor *cursor)
{
    cursor->at++;
    cursor->line++;
}

/* ---- strings ---- */

/* Takes one escape of a basic string, of which only the plain ones matter here; \u stays as it is written. */
static char unescape(char letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 't':
        return '\t';
    case 'n':
        return '\n';
    case 'f':
        return '\f';
    case 'r':
        return '\r';
    default:
        return letter;
    }
}

/* A string of one line; ret_text may be NULL. */
static struct error *take_line_string(struct cursor *cursor, char **ret_text)
{
    const char quote = *cursor->at++;
    const char *newline = memchr(cursor->at, '\n', (size_t)(cursor->end - cursor->at));
    _cleanup_free_ char *text = must_alloc((size_t)((newline ? newline : cursor->end) - cursor->at) + 1);
    size_t length = 0;
    while (peek(cursor) != quote) {
        if (cursor->at == cursor->end || *cursor->at == '\n')
            return wrong(cursor, "a string is not closed");
        bool escaped =
            quote == '"' && *cursor->at == '\\' && cursor->at + 1 < cursor->end && cursor->at[1] != '\n';
        if (escaped && (cursor->at[1] == 'u' || cursor->at[1] == 'U'))
            return wrong(cursor, "a \\u escape is more than this program reads");
        cursor->at += escaped;
        text[length++] = escaped ? unescape(*cursor->at) : *cursor->at;
        cursor->at++;
    }
    cursor->at++;
    if (ret_text)
        *ret_text = must_copy_length(text, length);
    return NULL;
}

/* Its text matters nowhere. */
static struct error *skip_text_block(struct cursor *cursor, const char *quotes)
{
    cursor->at += 3;
    while (!looking_at(cursor, quotes)) {
        if (cursor->at == cursor->end)
            return wrong(cursor, "a string of several lines is not closed");
        if (*quotes == '"' && *cursor->at == '\\' && cursor->at + 1 < cursor->end)
            cursor->at++;
        cursor->line += *cursor->at == '\n';
        cursor->at++;
    }
    cursor->at += 3;
    /* Up to two quotes may stand right before the closing ones. */
    while (peek(cursor) == *quotes)
        cursor->at++;
    return NULL;
}

static struct error *skip_string(struct cursor *cursor)
{
    if (looking_at(cursor, "\"\"\""))
        return skip_text_block(cursor, "\"\"\"");
    if (looking_at(cursor, "'''"))
        return skip_text_block(cursor, "'''");
    return take_line_string(cursor, NULL);
}

/* ---- keys ---- */

static bool is_bare(char letter)
{
    return isalnum((unsigned char)letter) || letter == '_' || letter == '-';
}

static struct error *take_key_part(struct cursor *cursor, char ***path)
{
    char *part = NULL;
    if (peek(cursor) == '"' || peek(cursor) == '\'') {
        TRY(take_line_string(cursor, &part));
    } else {
        const char *start = cursor->at;
        while (is_bare(peek(cursor)))
            cursor->at++;
        if (cursor->at == start)
            return wrong(cursor, "a key was expected");
        part = must_copy_length(start, (size_t)(cursor->at - start));
    }
    strv_take(path, part);
    return NULL;
}

static struct error *take_path(struct cursor *cursor, char ***path)
{
    for (size_t depth = 0;; depth++) {
        if (depth == TOML_DEPTH_MAX)
            return wrong(cursor, "a key has too many parts");
        skip_blanks(cursor);
        TRY(take_key_part(cursor, path));
        skip_blanks(cursor);
        if (peek(cursor) != '.')
            return NULL;
        cursor->at++;
    }
}

/* ---- values ---- */

/* Whether the cursor stands behind the value. */
static struct error *skip_value_part(struct cursor *cursor, unsigned *depth)
{
    switch (*cursor->at) {
    case '"':
    case '\'':
        return skip_string(cursor);
    case '[':
    case '{':
        if (++*depth > TOML_DEPTH_MAX)
            return wrong(cursor, "a value is nested too deeply");
        break;
    case ']':
    case '}':
        if (*depth == 0)
            return wrong(cursor, "a bracket closes nothing");
        --*depth;
        break;
    case '#':
        skip_comment(cursor);
        return NULL;
    case '\n':
        cursor->line++;
        break;
    }
    cursor->at++;
    return NULL;
}

static struct error *take_value(struct cursor *cursor, char **ret_value)
{
    const char *start = cursor->at;
    unsigned depth = 0;
    while (cursor->at < cursor->end && (depth > 0 || (*cursor->at != '\n' && *cursor->at != '#')))
        TRY(skip_value_part(cursor, &depth));
    if (depth > 0)
        return wrong(cursor, "a bracket is not closed");
    const char *end = cursor->at;
    while (end > start && isspace((unsigned char)end[-1]))
        end--;
    if (end == start)
        return wrong(cursor, "a value is missing");
    *ret_value = must_copy_length(start, (size_t)(end - start));
    return NULL;
}

/* ---- statements ---- */

static struct error *take_table(struct cursor *cursor, struct toml_statement *statement)
{
    const char *close = looking_at(cursor, "[[") ? "]]" : "]";
    statement->table = true;
    statement->array = close[1] == ']';
    cursor->at += strlen(close);
    TRY(take_path(cursor, &statement->path));
    statement->own = strv_length(statement->path);
    if (!looking_at(cursor, close))
        return wrong(cursor, "a table's name is not closed");
    cursor->at += strlen(close);
    return NULL;
}

static struct error *take_pair(struct cursor *cursor, char *const *table, struct toml_statement *statement)
{
    _cleanup_strv_ char **key = NULL;
    TRY(take_path(cursor, &key));
    statement->own = strv_length(key);
    strv_extend(&statement->path, table);
    strv_extend(&statement->path, key);
    if (peek(cursor) != '=')
        return wrong(cursor, "\"=\" was expected after the key");
    cursor->at++;
    skip_blanks(cursor);
    return take_value(cursor, &statement->value);
}

static struct error *take_line_rest(struct cursor *cursor)
{
    skip_blanks(cursor);
    if (peek(cursor) == '#')
        skip_comment(cursor);
    if (peek(cursor) == '\r')
        cursor->at++;
    if (cursor->at < cursor->end && *cursor->at != '\n')
        return wrong(cursor, "something stands behind the end of the statement");
    return NULL;
}

static struct error *take_statement(struct cursor *cursor, struct toml *toml, char *const **table)
{
    if (toml->count == TOML_STATEMENTS_MAX)
        return wrong(cursor, "the file is too long");
    toml->statements = must_resize(toml->statements, toml->count + 1, sizeof(*toml->statements));
    struct toml_statement *statement = &toml->statements[toml->count++];
    *statement = (struct toml_statement){.line = cursor->line};
    if (*cursor->at == '[') {
        TRY(take_table(cursor, statement));
        *table = statement->path;
    } else {
        TRY(take_pair(cursor, *table, statement));
    }
    return take_line_rest(cursor);
}

static struct error *take_all(struct cursor *cursor, struct toml *toml)
{
    char *const *table = NULL;
    while (cursor->at < cursor->end) {
        skip_blanks(cursor);
        char next = peek(cursor);
        if (next == '#')
            skip_comment(cursor);
        else if (next == '\n')
            skip_line_end(cursor);
        else if (next == '\r')
            cursor->at++;
        else if (cursor->at < cursor->end)
            TRY(take_statement(cursor, toml, &table));
    }
    return NULL;
}

struct error *toml_parse(const char *name, const char *text, size_t length, struct toml **ret_toml)
{
    _cleanup_toml_ struct toml *toml = must_new(struct toml);
    struct cursor cursor = {.name = name, .at = text, .end = text + length, .line = 1};
    toml->name = must_copy(name);
    if (memchr(text, '\0', length))
        return error_new(ERROR_INVALID_ARGUMENT, "%s: the file is not text", name);
    TRY(take_all(&cursor, toml));
    *ret_toml = TAKE_PTR(toml);
    return NULL;
}

void toml_free(struct toml *toml)
{
    if (!toml)
        return;
    for (size_t i = 0; i < toml->count; i++) {
        strv_free(toml->statements[i].path);
        free(toml->statements[i].value);
    }
    free(toml->statements);
    free(toml->name);
    free(toml);
}

/* ---- what statements say ---- */

bool toml_is_below(const struct toml_statement *statement, char *const *path)
{
    size_t i = 0;
    for (; path[i]; i++)
        if (i >= strv_length(statement->path) || strcmp(statement->path[i], path[i]) != 0)
            return false;
    return true;
}

static struct cursor value_cursor(const struct toml *toml, const struct toml_statement *statement)
{
    return (struct cursor){.name = toml->name,
        .at = statement->value,
        .end = statement->value + strlen(statement->value),
        .line = statement->line};
}

struct error *toml_integer(
    const struct toml *toml, const struct toml_statement *statement, int64_t *ret_value)
{
    _cleanup_free_ char *what = must_printf("%s:%u:", toml->name, statement->line);
    return parse_signed(what, statement->value, INT64_MIN + 1, INT64_MAX, ret_value);
}

struct error *toml_string(const struct toml *toml, const struct toml_statement *statement, char **ret_value)
{
    struct cursor cursor = value_cursor(toml, statement);
    if (peek(&cursor) != '"' && peek(&cursor) != '\'')
        return wrong(&cursor, "a string was expected");
    return take_line_string(&cursor, ret_value);
}

struct error *toml_strings(
    const struct toml *toml, const struct toml_statement *statement, char ***ret_values)
{
    struct cursor cursor = value_cursor(toml, statement);
    _cleanup_strv_ char **values = NULL;
    if (*cursor.at++ != '[')
        return wrong(&cursor, "a list of strings was expected");
    while (peek(&cursor) != ']') {
        char *text = NULL;
        if (peek(&cursor) == '#')
            skip_comment(&cursor);
        if (peek(&cursor) == '"' || peek(&cursor) == '\'') {
            TRY(take_line_string(&cursor, &text));
            strv_take(&values, text);
        } else if (strchr(", \t\r\n", peek(&cursor)) && peek(&cursor)) {
            cursor.at++;
        } else {
            return wrong(&cursor, "a list of strings was expected");
        }
    }
    *ret_values = TAKE_PTR(values);
    return NULL;
}
