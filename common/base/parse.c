/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Consumes the digits at *text; at least one, and no overflow. */
static bool take_digits(const char **text, uint64_t *value)
{
    if (!isdigit((unsigned char)**text))
        return false;
    uint64_t number = 0;
    for (; isdigit((unsigned char)**text); (*text)++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(**text - '0'), &number))
            return false;
    }
    *value = number;
    return true;
}

struct error *parse_unsigned(
    const char *what, const char *text, uint64_t minimum, uint64_t maximum, uint64_t *ret_value)
{
    const char *rest = text;
    uint64_t value;
    if (!take_digits(&rest, &value) || *rest)
        return error_new(ERROR_INVALID_ARGUMENT, "%s \"%s\" is not a number", what, text);
    if (value < minimum || value > maximum)
        return error_new(ERROR_OUT_OF_RANGE, "%s \"%s\" is not between %llu and %llu", what, text,
            (unsigned long long)minimum, (unsigned long long)maximum);
    *ret_value = value;
    return NULL;
}

struct error *parse_signed(
    const char *what, const char *text, int64_t minimum, int64_t maximum, int64_t *ret_value)
{
    bool negative = *text == '-';
    const char *rest = text + negative;
    uint64_t size;
    if (!take_digits(&rest, &size) || *rest || size > (uint64_t)INT64_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "%s \"%s\" is not a number", what, text);
    int64_t value = negative ? -(int64_t)size : (int64_t)size;
    if (value < minimum || value > maximum)
        return error_new(ERROR_OUT_OF_RANGE, "%s \"%s\" is not between %lld and %lld", what, text,
            (long long)minimum, (long long)maximum);
    *ret_value = value;
    return NULL;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* The unit's factor, or 0 for an unknown one. */
static uint64_t unit_factor(const struct unit *units, size_t count, const char *name, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(units[i].name) == length && strncasecmp(units[i].name, name, length) == 0)
            return units[i].factor;
    }
    return 0;
}

struct error *parse_size(const char *what, const char *text, uint64_t *ret_bytes)
{
    static const struct unit units[] = {
        {"", 1},
        {"b", 1},
        {"k", 1ull << 10},
        {"kb", 1ull << 10},
        {"kib", 1ull << 10},
        {"m", 1ull << 20},
        {"mb", 1ull << 20},
        {"mib", 1ull << 20},
        {"g", 1ull << 30},
        {"gb", 1ull << 30},
        {"gib", 1ull << 30},
        {"t", 1ull << 40},
        {"tb", 1ull << 40},
        {"tib", 1ull << 40},
    };
    const char *rest = text;
    uint64_t value;
    uint64_t factor = 0;
    if (take_digits(&rest, &value))
        factor = unit_factor(units, ARRAY_SIZE(units), rest, strlen(rest));
    if (factor == 0)
        return error_new(
            ERROR_INVALID_ARGUMENT, "%s \"%s\" is not a size; write it like 512m or 2g", what, text);
    if (__builtin_mul_overflow(value, factor, &value))
        return error_new(ERROR_OUT_OF_RANGE, "%s \"%s\" is too large", what, text);
    *ret_bytes = value;
    return NULL;
}

struct error *parse_thousandths(const char *what, const char *text, uint64_t *ret_thousandths)
{
    const char *rest = text;
    uint64_t whole = 0, fraction = 0;
    bool good = take_digits(&rest, &whole) && whole <= UINT32_MAX;
    if (good && *rest == '.') {
        rest++;
        for (uint64_t weight = 100; isdigit((unsigned char)*rest) && weight > 0; rest++, weight /= 10)
            fraction += (uint64_t)(*rest - '0') * weight;
    }
    if (!good || *rest)
        return error_new(ERROR_INVALID_ARGUMENT,
            "%s \"%s\" is not a number with at most three decimals, like 1.5", what, text);
    *ret_thousandths = whole * 1000 + fraction;
    return NULL;
}

struct error *parse_duration(const char *what, const char *text, uint64_t *ret_milliseconds)
{
    static const struct unit units[] = {
        {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}};
    const char *rest = text;
    uint64_t total = 0;
    do {
        uint64_t value, factor = 0;
        if (take_digits(&rest, &value)) {
            size_t length = strcspn(rest, "0123456789");
            factor = unit_factor(units, ARRAY_SIZE(units), rest, length);
            rest += length;
        }
        if (factor == 0 || __builtin_mul_overflow(value, factor, &value) ||
            __builtin_add_overflow(total, value, &total))
            return error_new(ERROR_INVALID_ARGUMENT,
                "%s \"%s\" is not a duration; write it like 10s or 1m30s", what, text);
    } while (*rest);
    *ret_milliseconds = total;
    return NULL;
}
