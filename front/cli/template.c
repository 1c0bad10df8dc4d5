/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/strv.h"
#include "cli/listing.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Names that docker's users write. */
static const struct {
    const char *written;
    const char *meant;
} aliases[] = {{"Names", "Name"}, {"ID", "Id"}, {"CreatedSince", "Created"}, {"RunningFor", "Created"}};

static json_t *find_exactly(const json_t *object, const char *name)
{
    const char *key;
    json_t *value;

    /* jansson's iterators take objects that may be changed; this one is not. */
    json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
        if (!strcasecmp(key, name))
            return value;
    }
    return NULL;
}

static json_t *find_member(const json_t *object, const char *name)
{
    json_t *value = find_exactly(object, name);

    for (size_t i = 0; !value && i < ARRAY_SIZE(aliases); i++)
        if (!strcasecmp(aliases[i].written, name))
            value = find_exactly(object, aliases[i].meant);
    return value;
}

/* path: "." or ".Member.Member". */
static struct error *find_path(const json_t *object, const char *path, const json_t **ret_value)
{
    _cleanup_strv_ char **names = strv_split(path + 1, '.');
    const json_t *value = object;

    STRV_FOREACH (name, names) {
        if (!**name && !names[1])
            break;
        value = json_is_object(value) ? find_member(value, *name) : NULL;
        if (!value)
            return error_new(ERROR_INVALID_ARGUMENT, "--format: there is no %s here", path);
    }
    *ret_value = value;
    return NULL;
}

static void put_value(FILE *out, const json_t *value, bool as_json)
{
    _cleanup_free_ char *text =
        as_json ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : value_text(value);
    fputs(text ?: "", out);
}

/* What stands between the braces. */
static struct error *put_action(FILE *out, char *action, const json_t *object)
{
    const json_t *value;
    bool as_json = false;

    while (isspace((unsigned char)*action))
        action++;
    for (size_t length = strlen(action); length > 0 && isspace((unsigned char)action[length - 1]); length--)
        action[length - 1] = '\0';
    if (!strncmp(action, "json ", 5)) {
        as_json = true;
        action += 5 + strspn(action + 5, " ");
    }
    if (*action != '.' || strpbrk(action, " |\"("))
        return error_new(ERROR_INVALID_ARGUMENT,
            "--format: {{%s}} is not understood; there are {{.Member}} and {{json .Member}}", action);
    TRY(find_path(object, action, &value));
    put_value(out, value, as_json);
    return NULL;
}

static const char *put_plain(FILE *out, const char *at)
{
    if (at[0] != '\\' || (at[1] != 't' && at[1] != 'n')) {
        fputc(*at, out);
        return at + 1;
    }
    fputc(at[1] == 't' ? '\t' : '\n', out);
    return at + 2;
}

static struct error *expand(FILE *out, const char *format, const json_t *object)
{
    const char *at = strncmp(format, "table ", 6) ? format : format + 6;

    while (*at) {
        if (strncmp(at, "{{", 2)) {
            at = put_plain(out, at);
            continue;
        }
        const char *end = strstr(at, "}}");
        if (!end)
            return error_new(ERROR_INVALID_ARGUMENT, "--format: a }} is missing in \"%s\"", format);
        _cleanup_free_ char *action = must_copy_length(at + 2, (size_t)(end - at) - 2);
        TRY(put_action(out, action, object));
        at = end + 2;
    }
    return NULL;
}

struct error *template_expand(const char *format, const json_t *object, char **ret_text)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    if (!out)
        abort(); /* only for want of memory */
    struct error *error = expand(out, format, object);
    fclose(out);
    if (error)
        free(text);
    else
        *ret_text = text;
    return error;
}
