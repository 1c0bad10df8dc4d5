/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/strv.h"

#include <string.h>

struct error *json_read(const char *name, const char *text, size_t length, json_t **ret_value)
{
    json_error_t problem;
    json_t *value = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    if (!value)
        return error_new(ERROR_INVALID_ARGUMENT, "%s: line %d, column %d: %s", name, problem.line,
            problem.column, problem.text);
    *ret_value = value;
    return NULL;
}

/* NULL for a missing or null member. */
static json_t *member(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static struct error *wrong_type(const char *path, const char *key, const char *wanted)
{
    return error_new(ERROR_INVALID_ARGUMENT, "%s.%s must be %s", path, key, wanted);
}

struct error *json_get_string(const json_t *object, const char *path, const char *key, const char **ret_value)
{
    json_t *value = member(object, key);
    if (!value)
        return NULL;
    if (!json_is_string(value))
        return wrong_type(path, key, "a string");
    *ret_value = json_string_value(value);
    return NULL;
}

struct error *json_get_bool(const json_t *object, const char *path, const char *key, bool *ret_value)
{
    json_t *value = member(object, key);
    if (!value)
        return NULL;
    if (!json_is_boolean(value))
        return wrong_type(path, key, "true or false");
    *ret_value = json_is_true(value);
    return NULL;
}

struct error *json_get_integer(const json_t *object, const char *path, const char *key, int64_t minimum,
    int64_t maximum, int64_t *ret_value)
{
    json_t *value = member(object, key);
    if (!value)
        return NULL;
    if (!json_is_integer(value))
        return wrong_type(path, key, "a whole number");
    int64_t number = json_integer_value(value);
    if (number < minimum || number > maximum)
        return error_new(ERROR_OUT_OF_RANGE, "%s.%s: %lld is not between %lld and %lld", path, key,
            (long long)number, (long long)minimum, (long long)maximum);
    *ret_value = number;
    return NULL;
}

struct error *json_get_object(const json_t *object, const char *path, const char *key, json_t **ret_value)
{
    json_t *value = member(object, key);
    if (!value)
        return NULL;
    if (!json_is_object(value))
        return wrong_type(path, key, "an object");
    *ret_value = value;
    return NULL;
}

struct error *json_get_array(const json_t *object, const char *path, const char *key, json_t **ret_value)
{
    json_t *value = member(object, key);
    if (!value)
        return NULL;
    if (!json_is_array(value))
        return wrong_type(path, key, "an array");
    *ret_value = value;
    return NULL;
}

struct error *json_get_strings(
    const json_t *object, const char *path, const char *key, size_t limit, char ***ret_value)
{
    json_t *array = NULL;
    TRY(json_get_array(object, path, key, &array));
    if (!array)
        return NULL;
    if (json_array_size(array) > limit)
        return error_new(ERROR_OUT_OF_RANGE, "%s.%s has more than %zu elements", path, key, limit);
    _cleanup_strv_ char **strings = must_alloc(sizeof(char *));
    size_t index;
    json_t *item;
    json_array_foreach (array, index, item) {
        if (!json_is_string(item))
            return error_new(ERROR_INVALID_ARGUMENT, "%s.%s[%zu] must be a string", path, key, index);
        strv_append(&strings, json_string_value(item));
    }
    *ret_value = TAKE_PTR(strings);
    return NULL;
}

char *json_write(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text)
        abort();
    return text;
}
