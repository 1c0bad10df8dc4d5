/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include "base/parse.h"
#include "base/strv.h"

#include <string.h>

/* Where the parser is in the arguments. */
struct cursor {
    const struct option *table;
    void *settings;
    char **next;
    char **rest; /* others are gathered here, before `next` */
    bool help;
};

static const char *option_name(const void *list, size_t index)
{
    return ((const struct option *)list)[index].name;
}

static struct error *unknown_option(const struct cursor *cursor, const char *name)
{
    const char *near = suggest(name, option_name, cursor->table);

    if (near)
        return error_new(ERROR_INVALID_ARGUMENT, "there is no option --%s; did you mean --%s?", name, near);
    return error_new(ERROR_INVALID_ARGUMENT, "there is no option --%s", name);
}

static const struct option *find_name(const struct option *table, const char *name, size_t length)
{
    for (; table->name; table++)
        if (!strncmp(table->name, name, length) && table->name[length] == '\0')
            return table;
    return NULL;
}

static const struct option *find_letter(const struct option *table, char letter)
{
    for (; table->name; table++)
        if (table->letter == letter)
            return table;
    return NULL;
}

static bool takes_value(const struct option *option)
{
    return option->value != NULL;
}

/* Names in help and errors belong to the first of two equal options. */
static const char *refusal(const struct option *option)
{
    while (!option->help)
        option--;
    return option->help;
}

static struct error *parse_flag(const struct option *option, const char *value, bool *flag)
{
    if (!value || !strcmp(value, "true") || !strcmp(value, "1"))
        *flag = true;
    else if (!strcmp(value, "false") || !strcmp(value, "0"))
        *flag = false;
    else
        return error_new(ERROR_INVALID_ARGUMENT, "--%s is true or false, not \"%s\"", option->name, value);
    return NULL;
}

static struct error *store(struct cursor *cursor, const struct option *option, const char *value)
{
    void *member = (char *)cursor->settings + option->offset;
    _cleanup_free_ char *what = must_printf("--%s", option->name);
    uint64_t number;

    switch (option->kind) {
    case OPTION_FLAG:
        return parse_flag(option, value, member);
    case OPTION_TEXT:
        *(const char **)member = value;
        return NULL;
    case OPTION_LIST:
        strv_append(member, value);
        return NULL;
    case OPTION_BOUND:
        value = strcmp(value, "-1") == 0 ? "0" : value;
        __attribute__((fallthrough));
    case OPTION_NUMBER:
        TRY(parse_unsigned(what, value, 0, INT64_MAX, &number));
        *(int64_t *)member = (int64_t)number;
        return NULL;
    case OPTION_SIZE:
        return parse_size(what, value, member);
    case OPTION_THOUSANDTHS:
        return parse_thousandths(what, value, member);
    case OPTION_REFUSED:
        return error_new(ERROR_INVALID_ARGUMENT, "--%s cannot be had: %s", option->name, refusal(option));
    }
    return NULL;
}

static struct error *next_value(struct cursor *cursor, const struct option *option, const char **ret_value)
{
    if (!*cursor->next)
        return error_new(
            ERROR_INVALID_ARGUMENT, "--%s needs a value: --%s %s", option->name, option->name, option->value);
    *ret_value = *cursor->next++;
    return NULL;
}

static struct error *parse_long(struct cursor *cursor, const char *text)
{
    size_t length = strcspn(text, "=");
    const char *value = text[length] == '=' ? text + length + 1 : NULL;
    const struct option *option = find_name(cursor->table, text, length);

    if (!option) {
        _cleanup_free_ char *name = must_copy_length(text, length);
        if (!strcmp(name, "help")) {
            cursor->help = true;
            return NULL;
        }
        return unknown_option(cursor, name);
    }
    if (takes_value(option) && !value)
        TRY(next_value(cursor, option, &value));
    return store(cursor, option, value);
}

static struct error *parse_letters(struct cursor *cursor, const char *letters)
{
    for (; *letters; letters++) {
        const struct option *option = find_letter(cursor->table, *letters);
        const char *value = NULL;
        if (!option && *letters == 'h') {
            cursor->help = true;
            return NULL;
        }
        if (!option)
            return error_new(ERROR_INVALID_ARGUMENT, "there is no option -%c", *letters);
        if (!takes_value(option)) {
            TRY(store(cursor, option, NULL));
            continue;
        }
        if (letters[1])
            value = letters[1] == '=' ? letters + 2 : letters + 1;
        else
            TRY(next_value(cursor, option, &value));
        return store(cursor, option, value);
    }
    return NULL;
}

static void take_rest(struct cursor *cursor)
{
    while (*cursor->next)
        *cursor->rest++ = *cursor->next++;
}

static struct error *parse_one(struct cursor *cursor, bool stop_early)
{
    char *argument = *cursor->next;

    if (argument[0] != '-' || argument[1] == '\0') {
        if (stop_early)
            take_rest(cursor);
        else
            *cursor->rest++ = *cursor->next++;
        return NULL;
    }
    cursor->next++;
    if (!strcmp(argument, "--")) {
        take_rest(cursor);
        return NULL;
    }
    return argument[1] == '-' ? parse_long(cursor, argument + 2) : parse_letters(cursor, argument + 1);
}

struct error *options_parse(const struct option *table, char **arguments, bool stop_early, void *settings,
    char ***ret_rest, bool *ret_help)
{
    struct cursor cursor = {.table = table, .settings = settings, .next = arguments, .rest = arguments};

    while (*cursor.next && !cursor.help)
        TRY(parse_one(&cursor, stop_early));
    *cursor.rest = NULL;
    *ret_rest = arguments;
    *ret_help = cursor.help;
    return NULL;
}

void options_release(const struct option *table, void *settings)
{
    for (; table->name; table++) {
        char ***member = (void *)((char *)settings + table->offset);
        if (table->kind == OPTION_LIST)
            strv_free(TAKE_PTR(*member));
    }
}
