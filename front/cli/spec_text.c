/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "No limit" is 2^64 - 1 in config.json and INT64_MAX in jansson's values. The two are exchanged in the text,
 * where they follow the keys of a resource limit: inside a string the quotes of these keys would be escaped,
 * so nothing else can look like them.
 */
#include "base/fd.h"
#include "base/json.h"
#include "cli/spec.h"

#include <fcntl.h>
#include <string.h>

#define SPEC_LIMIT (4u << 20)

#define OURS "9223372036854775807"
#define THEIRS "18446744073709551615"

static char *exchange(const char *text, const char *from, const char *to)
{
    _cleanup_free_ char *rest = must_copy(text);
    char *result = must_copy(""), *at = rest, *found;

    while ((found = strstr(at, from))) {
        *found = '\0';
        char *longer = must_printf("%s%s%s", result, at, to);
        free(result);
        result = longer;
        at = found + strlen(from);
    }
    char *whole = must_printf("%s%s", result, at);
    free(result);
    return whole;
}

char *spec_write(const json_t *spec)
{
    char *text = json_write(spec);

    if (!strstr(text, ":" OURS))
        return text;
    _cleanup_free_ char *unchanged = text;
    _cleanup_free_ char *half = exchange(unchanged, "\"soft\":" OURS, "\"soft\":" THEIRS);
    return exchange(half, "\"hard\":" OURS, "\"hard\":" THEIRS);
}

struct error *spec_read(const char *bundle, json_t **ret_spec)
{
    _cleanup_free_ char *path = must_printf("%s/config.json", bundle);
    _cleanup_free_ char *text = NULL;

    TRY(file_read(AT_FDCWD, path, SPEC_LIMIT, &text, NULL));
    _cleanup_free_ char *half = exchange(text, "\"soft\":" THEIRS, "\"soft\":" OURS);
    _cleanup_free_ char *whole = exchange(half, "\"hard\":" THEIRS, "\"hard\":" OURS);
    return json_read(path, whole, strlen(whole), ret_spec);
}
