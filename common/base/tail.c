/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tail.h"

#include <string.h>

void tail_add(char *text, size_t limit, size_t *length, const char *bytes, size_t count)
{
    if (count > limit) {
        bytes += count - limit;
        count = limit;
    }
    if (*length + count > limit) {
        size_t drop = *length + count - limit;
        memmove(text, text + drop, *length - drop);
        *length -= drop;
    }
    memcpy(text + *length, bytes, count);
    *length += count;
    text[*length] = '\0';
}
