/* SPDX-License-Identifier: Apache-2.0 */
#include "base/suggest.h"

#include <string.h>

#define LENGTH_MAX 40

static size_t least(size_t a, size_t b, size_t c)
{
    size_t less = a < b ? a : b;
    return less < c ? less : c;
}

/* Damerau-Levenshtein with adjacent transpositions: "rnu" is one step from "run". */
static size_t distance(const char *from, const char *to)
{
    size_t rows[LENGTH_MAX + 1][LENGTH_MAX + 1];
    size_t length = strlen(from), width = strlen(to);

    if (length > LENGTH_MAX || width > LENGTH_MAX)
        return LENGTH_MAX;
    for (size_t i = 0; i <= length; i++)
        rows[i][0] = i;
    for (size_t j = 0; j <= width; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= length; i++)
        for (size_t j = 1; j <= width; j++) {
            size_t change = from[i - 1] == to[j - 1] ? 0 : 1;
            rows[i][j] = least(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + change);
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] &&
                rows[i - 2][j - 2] + 1 < rows[i][j])
                rows[i][j] = rows[i - 2][j - 2] + 1;
        }
    return rows[length][width];
}

const char *suggest(const char *text, const char *(*next)(const void *list, size_t index), const void *list)
{
    /* A third of the letters may be wrong, and never all of them. */
    size_t limit = strlen(text) / 3 + 1, best = limit + 1;
    const char *found = NULL, *name;

    for (size_t index = 0; (name = next(list, index)); index++) {
        size_t steps = distance(text, name);
        if (steps < best && steps < strlen(name)) {
            best = steps;
            found = name;
        }
    }
    return found;
}
