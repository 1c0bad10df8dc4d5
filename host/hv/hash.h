/* SPDX-License-Identifier: Apache-2.0 */
/* FNV-1a: spreads machine names over user ids and loopback addresses. */
#pragma once

static inline unsigned hash_text(const char *text)
{
    unsigned hash = 2166136261u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash ^ hash >> 16;
}
