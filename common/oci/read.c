/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader that walks the tables of shape.h.
 *
 * A message grows in place: each element of a repeated field is counted only once it is whole, so at any
 * moment the message can be freed with protobuf_c_message_free_unpacked, and a failure anywhere needs no more
 * than that. Memory therefore comes from malloc, and an unset string is the descriptor's empty default, which
 * is never freed.
 */
#include "oci/big_integer.h"
#include "oci/shape.h"
#include "proto/oci.pb-c.h"

#include <inttypes.h>
#include <string.h>

static inline void cleanup_message(ProtobufCMessage **message)
{
    if (*message)
        protobuf_c_message_free_unpacked(*message, NULL);
}
#define _cleanup_message_ __attribute__((cleanup(cleanup_message)))

/* One value on its way from JSON to its slot in a message. */
struct target {
    const struct oci_member *member;
    const ProtobufCFieldDescriptor *field;
    void *slot;
};

static void *at(ProtobufCMessage *message, unsigned offset)
{
    return (char *)message + offset;
}

/* ---- strings ---- */

bool oci_is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

static struct error *check_text(const char *text, const struct oci_place *place, const struct oci_rule *rule)
{
    size_t longest = rule && rule->longest ? rule->longest : OCI_STRING_MAX;

    if (strlen(text) > longest)
        return oci_refuse(place, "is longer than %zu bytes", longest);
    if (!rule)
        return NULL;
    if ((rule->words && !oci_is_one_of(text, rule->words)) || (rule->accept && !rule->accept(text)))
        return oci_refuse_text(place, text, rule->reason);
    return NULL;
}

static struct error *read_string(
    const json_t *json, const struct oci_place *place, const struct oci_rule *rule, void *slot)
{
    const char *text = json_string_value(json);

    if (!text)
        return oci_refuse(place, "must be a string");
    TRY(check_text(text, place, rule));
    *(char **)slot = must_copy(text);
    return NULL;
}

/* ---- numbers ---- */

struct range {
    int64_t minimum;
    uint64_t maximum;
};

static struct range range_of(const struct target *target)
{
    if (target->member->minimum || target->member->maximum)
        return (struct range){target->member->minimum, target->member->maximum};
    switch (target->field->type) {
    case PROTOBUF_C_TYPE_INT32:
        return (struct range){INT32_MIN, INT32_MAX};
    case PROTOBUF_C_TYPE_UINT32:
        return (struct range){0, UINT32_MAX};
    case PROTOBUF_C_TYPE_UINT64:
        return (struct range){0, UINT64_MAX};
    default:
        return (struct range){INT64_MIN, INT64_MAX};
    }
}

static void store_number(const ProtobufCFieldDescriptor *field, void *slot, uint64_t bits)
{
    if (field->type == PROTOBUF_C_TYPE_INT32 || field->type == PROTOBUF_C_TYPE_UINT32)
        *(uint32_t *)slot = (uint32_t)bits;
    else
        *(uint64_t *)slot = bits;
}

static struct error *read_number(
    const json_t *json, const struct oci_place *place, const struct target *target)
{
    struct range range = range_of(target);
    uint64_t big;

    if (json_is_string(json) && oci_big_integer_decode(json_string_value(json), &big)) {
        if (big > range.maximum)
            return oci_refuse(place, "%" PRIu64 " is more than %" PRIu64, big, range.maximum);
        store_number(target->field, target->slot, big);
        return NULL;
    }
    if (!json_is_integer(json))
        return oci_refuse(place, "must be a whole number");
    json_int_t value = json_integer_value(json);
    if (value < range.minimum || (value > 0 && (uint64_t)value > range.maximum))
        return oci_refuse(place, "%" JSON_INTEGER_FORMAT " is not between %" PRId64 " and %" PRIu64, value,
            range.minimum, range.maximum);
    store_number(target->field, target->slot, (uint64_t)value);
    return NULL;
}

static struct error *read_bool(const json_t *json, const struct oci_place *place, void *slot)
{
    if (!json_is_boolean(json))
        return oci_refuse(place, "must be true or false");
    *(protobuf_c_boolean *)slot = json_is_true(json);
    return NULL;
}

/* ---- one value ---- */

static struct error *read_value(
    const json_t *json, const struct oci_place *place, const struct target *target)
{
    switch (target->field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return read_string(json, place, target->member->rule, target->slot);
    case PROTOBUF_C_TYPE_BOOL:
        return read_bool(json, place, target->slot);
    case PROTOBUF_C_TYPE_MESSAGE:
        return oci_read_object(json, place, target->member->shape, target->slot);
    default:
        return read_number(json, place, target);
    }
}

/* ---- arrays and maps ---- */

static size_t element_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return sizeof(uint64_t);
    default:
        return sizeof(uint32_t);
    }
}

static struct error *read_array(
    const json_t *json, const struct oci_place *place, const struct target *target, ProtobufCMessage *message)
{
    size_t *count = at(message, target->field->quantifier_offset);
    size_t size = element_size(target->field);
    size_t length = json_array_size(json);

    if (!json_is_array(json))
        return oci_refuse(place, "must be an array");
    if (length > OCI_ELEMENTS_MAX)
        return oci_refuse(place, "has more than %d elements", OCI_ELEMENTS_MAX);
    if (length == 0)
        return NULL;
    char *elements = must_alloc_array(length, size);
    *(char **)target->slot = elements;
    for (size_t i = 0; i < length; i++) {
        struct oci_place here = {.parent = place, .index = i};
        struct target element = {target->member, target->field, elements + i * size};
        TRY(read_value(json_array_get(json, i), &here, &element));
        *count = i + 1;
    }
    return NULL;
}

static struct error *read_entry(const char *key, const json_t *value, const struct oci_place *place,
    const struct oci_rule *key_rule, Grpc__StringEntry **ret_entry)
{
    struct oci_place here = {.parent = place, .key = key, .quoted = true};
    const char *text = json_string_value(value);

    if (!*key)
        return oci_refuse(place, "has an empty key");
    TRY(check_text(key, place, key_rule));
    if (!text)
        return oci_refuse(&here, "must be a string");
    TRY(check_text(text, &here, NULL));
    Grpc__StringEntry *entry = must_new(Grpc__StringEntry);
    *entry = (Grpc__StringEntry)GRPC__STRING_ENTRY__INIT;
    entry->key = must_copy(key);
    entry->value = must_copy(text);
    *ret_entry = entry;
    return NULL;
}

static struct error *read_map(
    json_t *json, const struct oci_place *place, const struct target *target, ProtobufCMessage *message)
{
    size_t *count = at(message, target->field->quantifier_offset);
    const char *key;
    json_t *value;

    if (!json_is_object(json))
        return oci_refuse(place, "must be an object");
    if (json_object_size(json) > OCI_ELEMENTS_MAX)
        return oci_refuse(place, "has more than %d members", OCI_ELEMENTS_MAX);
    if (json_object_size(json) == 0)
        return NULL;
    Grpc__StringEntry **entries = must_alloc_array(json_object_size(json), sizeof(*entries));
    *(Grpc__StringEntry ***)target->slot = entries;
    json_object_foreach (json, key, value) {
        TRY(read_entry(key, value, place, target->member->rule, &entries[*count]));
        (*count)++;
    }
    return NULL;
}

/* ---- members and objects ---- */

static bool is_empty(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return json_object_size(json) == 0;
    case JSON_ARRAY:
        return json_array_size(json) == 0;
    case JSON_STRING:
        return json_string_length(json) == 0;
    default:
        return json_is_false(json) || json_is_null(json);
    }
}

static struct error *member_missing(
    const struct oci_place *place, const struct oci_member *member, ProtobufCMessage *message)
{
    if (member->required)
        return oci_refuse(place, "is missing");
    if (member->missing) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(message->descriptor, member->field);
        store_number(field, at(message, field->offset), (uint64_t)member->missing);
    }
    return NULL;
}

static struct error *read_single(
    const json_t *json, const struct oci_place *place, const struct target *target, ProtobufCMessage *message)
{
    if (json_is_string(json) && json_string_length(json) == 0) {
        if (target->member->required)
            return oci_refuse(place, "is empty");
        if (target->field->type == PROTOBUF_C_TYPE_STRING)
            return NULL;
    }
    TRY(read_value(json, place, target));
    if (target->field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        *(uint32_t *)at(message, target->field->quantifier_offset) = target->field->id;
    return NULL;
}

static struct error *read_member(
    json_t *json, const struct oci_place *place, const struct oci_member *member, ProtobufCMessage *message)
{
    if (!json || json_is_null(json))
        return member_missing(place, member, message);
    if (member->refused)
        return is_empty(json) ? NULL : oci_refuse(place, "%s", member->refused);

    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, member->field);
    struct target target = {member, field, at(message, field->offset)};
    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return read_single(json, place, &target, message);
    if (field->descriptor == &grpc__string_entry__descriptor)
        return read_map(json, place, &target, message);
    TRY(read_array(json, place, &target, message));
    if (member->required && json_array_size(json) == 0)
        return oci_refuse(place, "must have at least one element");
    return NULL;
}

struct error *oci_read_object(const json_t *json, const struct oci_place *place,
    const struct oci_shape *shape, ProtobufCMessage **ret_message)
{
    static const uint8_t nothing[1];

    if (!json_is_object(json))
        return oci_refuse(place, "must be an object");
    /* Decoding no bytes is how protobuf-c makes a message of a type known only at run time. */
    _cleanup_message_ ProtobufCMessage *message =
        protobuf_c_message_unpack(shape->descriptor, NULL, 0, nothing);
    if (!message)
        return error_new(ERROR_RESOURCE_EXHAUSTED, "out of memory");
    for (size_t i = 0; i < shape->member_count; i++) {
        const struct oci_member *member = &shape->members[i];
        struct oci_place here = {.parent = place, .key = member->key};
        TRY(read_member(json_object_get(json, member->key), &here, member, message));
    }
    if (shape->finish)
        TRY(shape->finish(message, place));
    *ret_message = TAKE_PTR(message);
    return NULL;
}
