/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON that strangers wrote, read with the place in every sentence. Getters take the path of the object as
 * text ("config.json: process") so that errors can name what they refuse. A missing or null member leaves
 * *ret_... as it was and is no error.
 */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

DEFINE_CLEANUP(json_t *, json_decref);
#define _cleanup_json_ _cleanup_(json_decref)

/* `name` is the document's name for errors ("config.json"), which say line and column. Duplicate keys and
   text after the document are refused. */
struct error *json_read(const char *name, const char *text, size_t length, json_t **ret_value);
/* Borrowed values. */
struct error *json_get_string(
    const json_t *object, const char *path, const char *key, const char **ret_value);
struct error *json_get_bool(const json_t *object, const char *path, const char *key, bool *ret_value);
struct error *json_get_integer(const json_t *object, const char *path, const char *key, int64_t minimum,
    int64_t maximum, int64_t *ret_value);
struct error *json_get_object(const json_t *object, const char *path, const char *key, json_t **ret_value);
struct error *json_get_array(const json_t *object, const char *path, const char *key, json_t **ret_value);
/* A new vector of strings; at most `limit` elements. */
struct error *json_get_strings(
    const json_t *object, const char *path, const char *key, size_t limit, char ***ret_value);
/* Compact text, owned by the caller. */
char *json_write(const json_t *value);
