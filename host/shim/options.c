/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/options.h"

#include "base/path.h"

#include <stddef.h>
#include <string.h>

enum flag_kind { FLAG_TEXT, FLAG_ON, FLAG_ACTION };

struct flag {
    const char *name;
    enum flag_kind kind;
    size_t offset; /* in struct shim_options */
    enum shim_action action;
};

static const struct flag flags[] = {
    {"namespace", FLAG_TEXT, offsetof(struct shim_options, namespace), 0},
    {"id", FLAG_TEXT, offsetof(struct shim_options, id), 0},
    {"address", FLAG_TEXT, offsetof(struct shim_options, address), 0},
    {"publish-binary", FLAG_TEXT, offsetof(struct shim_options, publish_binary), 0},
    {"bundle", FLAG_TEXT, offsetof(struct shim_options, bundle), 0},
    {"debug", FLAG_ON, offsetof(struct shim_options, debug), 0},
    {"v", FLAG_ACTION, 0, SHIM_VERSION},
    {"version", FLAG_ACTION, 0, SHIM_VERSION},
    {"info", FLAG_ACTION, 0, SHIM_INFO},
};

static const struct flag *find_flag(const char *name, size_t length)
{
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (strlen(flags[i].name) == length && strncmp(flags[i].name, name, length) == 0)
            return &flags[i];
    return NULL;
}

static struct error *set_on(bool *flag, const char *name, const char *value)
{
    if (value && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
        return error_new(ERROR_INVALID_ARGUMENT, "-%s is true or false, not \"%s\"", name, value);
    *flag = !value || strcmp(value, "true") == 0;
    return NULL;
}

/* Advances *index over what the flag uses. */
static struct error *parse_flag(
    int count, char *const *arguments, int *index, struct shim_options *options, bool *ret_action)
{
    const char *name = arguments[*index] + 1;
    name += *name == '-';
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    const struct flag *flag = find_flag(name, length);
    if (!flag)
        return error_new(ERROR_INVALID_ARGUMENT, "unknown flag %s", arguments[*index]);
    void *field = (char *)options + flag->offset;
    switch (flag->kind) {
    case FLAG_ON:
        return set_on(field, flag->name, value);
    case FLAG_ACTION:
        options->action = flag->action;
        *ret_action = true;
        return NULL;
    case FLAG_TEXT:
        break;
    }
    if (!value && *index + 1 >= count)
        return error_new(ERROR_INVALID_ARGUMENT, "flag -%s needs a value", flag->name);
    *(const char **)field = value ? value : arguments[++*index];
    return NULL;
}

static struct error *parse_action(const char *word, struct shim_options *options)
{
    static const struct {
        const char *name;
        enum shim_action action;
    } actions[] = {{"start", SHIM_START}, {"delete", SHIM_DELETE}, {"check", SHIM_CHECK}};
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        if (strcmp(actions[i].name, word) == 0) {
            options->action = actions[i].action;
            return NULL;
        }
    }
    return error_new(ERROR_INVALID_ARGUMENT,
        "unknown action \"%s\": this program is started by containerd or caisson; by hand it answers to "
        "check, --version and -info",
        word);
}

static struct error *check_names(const struct shim_options *options)
{
    if (options->action != SHIM_START && options->action != SHIM_DELETE)
        return NULL;
    TRY(identifier_check("-namespace", options->namespace));
    return identifier_check("-id", options->id);
}

struct error *shim_options_parse(int count, char *const *arguments, struct shim_options *ret_options)
{
    struct shim_options options = {
        .namespace = "", .id = "", .address = "", .publish_binary = "", .bundle = ""};
    bool has_action = false;
    int index = 1;
    for (; index < count && arguments[index][0] == '-'; index++)
        TRY(parse_flag(count, arguments, &index, &options, &has_action));
    if (!has_action && index >= count)
        return error_new(ERROR_INVALID_ARGUMENT, "no action: start, delete, check, --version or -info");
    if (!has_action)
        TRY(parse_action(arguments[index], &options));
    TRY(check_names(&options));
    *ret_options = options;
    return NULL;
}
