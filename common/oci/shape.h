/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a JSON object becomes a message: tables of members, and the one reader that walks them.
 *
 * A shape pairs a message type with the members its object may have. A member names its JSON key and the
 * field it fills; the generated descriptor of the message says the rest: type, place in the struct, and
 * whether it repeats. So a table holds what the specification says and nothing twice.
 */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Arrays and maps beyond this are refused: far over any real document, far under what could hurt. */
#define OCI_ELEMENTS_MAX 65536
/* Strings beyond this are refused. Annotations are the longest that occur. */
#define OCI_STRING_MAX (1u << 20)

/* Where in the document the reader is: a chain on the stack, made text only when an error needs it. */
struct oci_place {
    const struct oci_place *parent; /* NULL: key is the document's name */
    const char *key;                /* NULL: an element of an array */
    size_t index;
    bool quoted; /* the key is data (a map's), not a name of the specification */
};

/* INVALID_ARGUMENT: "config.json: process.cwd: FORMAT". */
struct error *oci_refuse(const struct oci_place *place, const char *format, ...)
    __attribute__((returns_nonnull, format(printf, 2, 3)));
/* The same with a string of the document, shortened and made printable: `PLACE: "TEXT" REASON`. */
struct error *oci_refuse_text(const struct oci_place *place, const char *text, const char *reason)
    __attribute__((returns_nonnull));

/* What a string must be. Either of words and accept may be NULL. */
struct oci_rule {
    const char *reason;       /* "is not an absolute path" */
    const char *const *words; /* the allowed ones; ends with NULL */
    bool (*accept)(const char *text);
    size_t longest; /* bytes; 0 is OCI_STRING_MAX */
};

struct oci_shape;

struct oci_member {
    const char *key;
    const char *field;             /* of the message; NULL with `refused` */
    const struct oci_shape *shape; /* of the object or of each element */
    const struct oci_rule *rule;   /* of the string, of each element, or of each key of a map */
    int64_t minimum;               /* with maximum; both 0: whatever the field's type holds */
    uint64_t maximum;
    int64_t missing;     /* what a number is when the member is missing */
    bool required;       /* a string must not be empty either */
    const char *refused; /* why the member is refused unless it is empty */
};

struct oci_shape {
    const ProtobufCMessageDescriptor *descriptor;
    const struct oci_member *members;
    size_t member_count;
    /* Checks what no single member shows, and completes the message. May be NULL. */
    struct error *(*finish)(ProtobufCMessage *message, const struct oci_place *place);
};

#define OCI_MEMBERS(table) .members = (table), .member_count = ARRAY_SIZE(table)

/* A new message, to be freed with protobuf_c_message_free_unpacked(message, NULL). */
struct error *oci_read_object(const json_t *json, const struct oci_place *place,
    const struct oci_shape *shape, ProtobufCMessage **ret_message);

extern const struct oci_shape oci_spec_shape;
extern const struct oci_shape oci_process_shape;
extern const struct oci_shape oci_hooks_shape;
extern const struct oci_shape oci_linux_shape;
extern const struct oci_shape oci_resources_shape;
extern const struct oci_shape oci_seccomp_shape;

extern const struct oci_rule oci_rule_absolute_path;
extern const struct oci_rule oci_rule_variable; /* NAME=VALUE */
extern const struct oci_rule oci_rule_not_empty;
bool oci_is_one_of(const char *text, const char *const *words);
