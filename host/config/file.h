/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a configuration file as a list of assignments with their lines; what the names mean is
 * config.c's to know. Syntax: [class NAME] or [default], KEY = VALUE, comments at the start of a line with #
 * or ;, and after a value with " ;". Indentation means nothing.
 */
#pragma once

#include "base/error.h"

#include <stddef.h>

/* Of a file, and of one of its lines. */
#define CONFIG_FILE_MAX (256u << 10)
#define CONFIG_LINE_MAX 180

struct config_reader {
    /* A heading; `name` is the text between the brackets. */
    struct error *(*section)(void *context, unsigned line, const char *name);
    /* KEY = VALUE below a heading; section is "" before the first. */
    struct error *(*assign)(
        void *context, unsigned line, const char *section, const char *key, const char *value);
    void *context;
};

/* Reads the text. The first error ends it and gets "NAME:LINE: " in front. */
struct error *config_file_parse(
    const char *name, const char *text, size_t length, const struct config_reader *reader);
