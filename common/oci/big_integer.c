/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/big_integer.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

/* Digits of 2^63 and of 2^64 - 1. */
#define DIGITS_MIN 19
#define DIGITS_MAX 20
/* "#" and the digits, without the quotes. */
#define ENCODED_LENGTH 17

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* The end of a string that begins at `i` with its quote, or the end of the text. */
static size_t skip_string(const char *text, size_t length, size_t i)
{
    for (i++; i < length && text[i] != '"'; i++)
        if (text[i] == '\\')
            i++;
    return i < length ? i + 1 : length;
}

/* Whether the digits are a whole number in [2^63, 2^64). */
static bool is_big(const char *text, size_t digits, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (digits < DIGITS_MIN || digits > DIGITS_MAX)
        return false;
    for (size_t i = 0; i < digits; i++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
            return false;
    *ret_value = value;
    return value > INT64_MAX;
}

/* Whether digits that stand beside these bytes are only a part of a number. */
static bool continues_number(char byte)
{
    return byte != '\0' && strchr("+-.eE", byte);
}

static void encode(char *at, size_t digits, uint64_t value)
{
    char encoded[ENCODED_LENGTH + 3];

    snprintf(encoded, sizeof(encoded), "\"#%016llx\"", (unsigned long long)value);
    memset(at, ' ', digits);
    memcpy(at, encoded, ENCODED_LENGTH + 2);
}

char *oci_big_integers_encode(const char *text, size_t length)
{
    char *copy = NULL;
    size_t i = 0;

    while (i < length) {
        if (text[i] == '"') {
            i = skip_string(text, length, i);
            continue;
        }
        size_t start = i;
        while (i < length && is_digit(text[i]))
            i++;
        uint64_t value;
        bool whole =
            (start == 0 || !continues_number(text[start - 1])) && (i == length || !continues_number(text[i]));
        if (whole && is_big(text + start, i - start, &value)) {
            if (!copy)
                copy = memcpy(must_alloc(length), text, length);
            encode(copy + start, i - start, value);
        }
        if (i == start)
            i++;
    }
    return copy;
}

bool oci_big_integer_decode(const char *text, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (text[0] != '#' || strlen(text) != ENCODED_LENGTH)
        return false;
    for (const char *digit = text + 1; *digit; digit++) {
        const char *digits = "0123456789abcdef";
        const char *found = strchr(digits, *digit);
        if (!found)
            return false;
        value = value << 4 | (uint64_t)(found - digits);
    }
    *ret_value = value;
    return true;
}
