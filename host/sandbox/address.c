/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/address.h"

#include "base/strv.h"

#include <stdbool.h>
#include <string.h>

static int hex_digit(char letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    letter |= 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* The value of %XX, or -1. A NUL cannot be part of a path or of an argument. */
static int escaped_byte(const char *text, size_t length)
{
    if (length < 3 || hex_digit(text[1]) < 0 || hex_digit(text[2]) < 0)
        return -1;
    int value = hex_digit(text[1]) * 16 + hex_digit(text[2]);
    return value == 0 ? -1 : value;
}

static struct error *decode(const char *text, size_t length, bool plus_is_space, char **ret_text)
{
    _cleanup_free_ char *decoded = must_alloc(length + 1);
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        int value = (unsigned char)text[i];
        if (value == '%') {
            value = escaped_byte(text + i, length - i);
            if (value < 0)
                return error_new(ERROR_INVALID_ARGUMENT, "\"%.*s\" has a wrong escape", (int)length, text);
            i += 2;
        } else if (value == '+' && plus_is_space) {
            value = ' ';
        }
        decoded[count++] = (char)value;
    }
    *ret_text = TAKE_PTR(decoded);
    return NULL;
}

static bool has_name(char *const *query, const char *name)
{
    for (size_t i = 0; query && query[i]; i += 2)
        if (strcmp(query[i], name) == 0)
            return true;
    return false;
}

static struct error *add_pair(const char *text, size_t length, char ***query)
{
    const char *sign = memchr(text, '=', length);
    size_t name_length = sign ? (size_t)(sign - text) : length;
    size_t value_length = sign ? length - name_length - 1 : 0;
    _cleanup_free_ char *name = NULL;
    _cleanup_free_ char *value = NULL;
    TRY(decode(text, name_length, true, &name));
    TRY(decode(sign ? sign + 1 : "", value_length, true, &value));
    if (has_name(*query, name))
        return NULL;
    strv_take(query, TAKE_PTR(name));
    strv_take(query, TAKE_PTR(value));
    return NULL;
}

static struct error *parse_query(const char *text, size_t length, char ***query)
{
    const char *end = text + length;
    while (text < end) {
        const char *next = memchr(text, '&', (size_t)(end - text));
        size_t pair = (size_t)((next ? next : end) - text);
        if (pair > 0)
            TRY(add_pair(text, pair, query));
        text += pair + (next ? 1 : 0);
    }
    return NULL;
}

/* What stands behind "scheme://": [authority]/path[?query][#fragment]. */
static struct error *parse_rest(const char *rest, struct address *address)
{
    size_t length = strcspn(rest, "#");
    size_t authority = strcspn(rest, "/?#");
    const char *path = rest + authority;
    size_t path_length = strcspn(path, "?#");
    TRY(decode(path, path_length, false, &address->path));
    size_t used = authority + path_length;
    return used < length ? parse_query(rest + used + 1, length - used - 1, &address->query) : NULL;
}

static struct error *parse_into(const char *text, struct address *address)
{
    const char *mark = strstr(text, "://");
    if (strlen(text) > ADDRESS_LENGTH_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "an address of %zu bytes", strlen(text));
    address->scheme = mark ? must_copy_length(text, (size_t)(mark - text)) : must_copy("fifo");
    if (mark)
        TRY(parse_rest(mark + strlen("://"), address));
    else
        address->path = must_copy(text);
    if (address->path[0] != '/')
        return error_new(ERROR_INVALID_ARGUMENT, "\"%s\" has no absolute path", text);
    return NULL;
}

struct error *address_parse(const char *text, struct address *ret_address)
{
    _cleanup_address_ struct address address = {0};
    TRY(parse_into(text, &address));
    *ret_address = address;
    address = (struct address){0};
    return NULL;
}

void address_clear(struct address *address)
{
    free(address->scheme);
    free(address->path);
    strv_free(address->query);
    *address = (struct address){0};
}
