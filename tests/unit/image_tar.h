/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer of tar streams for tests, good and bad ones.
 */
#pragma once

#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct tar_buffer {
    char *bytes;
    size_t length;
};

/* Members that are 0 or NULL get a usual value. */
struct tar_item {
    const char *name;
    char type; /* '0' */
    const char *link;
    const char *data;
    size_t length; /* of the data; strlen */
    unsigned mode; /* 0644 */
    unsigned uid;
    unsigned gid;
    uint64_t size; /* the size that the header claims, when it is not the data's */
    unsigned major;
    unsigned minor;
};

static void tar_bytes(struct tar_buffer *tar, const void *bytes, size_t length)
{
    size_t padded = (length + 511) / 512 * 512;
    tar->bytes = must_resize(tar->bytes, tar->length + padded + 1, 1);
    memset(tar->bytes + tar->length, 0, padded);
    if (length > 0)
        memcpy(tar->bytes + tar->length, bytes, length);
    tar->length += padded;
}

static void tar_item(struct tar_buffer *tar, const struct tar_item *item)
{
    char header[512] = {0};
    size_t length = item->length ? item->length : item->data ? strlen(item->data) : 0;
    uint64_t size = item->size ? item->size : length;
    strncpy(header, item->name, 100);
    sprintf(header + 100, "%07o", item->mode ? item->mode : 0644);
    sprintf(header + 108, "%07o", item->uid);
    sprintf(header + 116, "%07o", item->gid);
    sprintf(header + 124, "%011llo", (unsigned long long)size);
    sprintf(header + 136, "%011o", 1700000000u);
    memset(header + 148, ' ', 8);
    header[156] = item->type ? item->type : '0';
    if (item->link)
        strncpy(header + 157, item->link, 100);
    memcpy(header + 257, "ustar\00000", 8);
    sprintf(header + 329, "%07o", item->major);
    sprintf(header + 337, "%07o", item->minor);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof(header); i++)
        sum += (unsigned char)header[i];
    sprintf(header + 148, "%06o", sum);
    tar_bytes(tar, header, sizeof(header));
    if (length > 0)
        tar_bytes(tar, item->data, length);
}

#define TAR(tar, ...) tar_item(tar, &(struct tar_item){__VA_ARGS__})

/* A pax header for the item that follows: one record. */
static inline void tar_pax(struct tar_buffer *tar, const char *keyword, const void *value, size_t length)
{
    char record[8192];
    size_t rest = strlen(keyword) + length + 3; /* " ", "=", "\n" */
    size_t whole = rest + 1;
    while ((size_t)snprintf(NULL, 0, "%zu", whole) + rest != whole)
        whole++;
    int used = sprintf(record, "%zu %s=", whole, keyword);
    memcpy(record + used, value, length);
    record[whole - 1] = '\n';
    TAR(tar, .name = "PaxHeaders/x", .type = 'x', .data = record, .length = whole);
}

static inline void tar_end(struct tar_buffer *tar)
{
    char zeros[1024] = {0};
    tar_bytes(tar, zeros, sizeof(zeros));
}

static inline void tar_clear(struct tar_buffer *tar)
{
    free(tar->bytes);
    *tar = (struct tar_buffer){0};
}
