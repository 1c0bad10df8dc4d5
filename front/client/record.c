/* SPDX-License-Identifier: Apache-2.0 */
#include "client/record.h"

#include "base/fd.h"
#include "base/json.h"
#include "base/path.h"
#include "base/strv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define RECORD_FILE "container.json"
#define RECORD_LIMIT (1u << 20)
#define STRINGS_LIMIT 65536

/* How a member of struct record is written. */
enum field_kind { FIELD_TEXT, FIELD_STRINGS, FIELD_NUMBER, FIELD_BOOLEAN };

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
};

#define FIELD(key, kind, member)                             \
    {                                                        \
        key, kind, __builtin_offsetof(struct record, member) \
    }

static const struct field fields[] = {
    FIELD("id", FIELD_TEXT, id),
    FIELD("name", FIELD_TEXT, name),
    FIELD("image", FIELD_TEXT, image),
    FIELD("imageDigest", FIELD_TEXT, image_digest),
    FIELD("command", FIELD_STRINGS, command),
    FIELD("labels", FIELD_STRINGS, labels),
    FIELD("annotations", FIELD_STRINGS, annotations),
    FIELD("ports", FIELD_STRINGS, ports),
    FIELD("volumes", FIELD_STRINGS, volumes),
    FIELD("hypervisor", FIELD_TEXT, hypervisor),
    FIELD("network", FIELD_TEXT, network),
    FIELD("stopSignal", FIELD_TEXT, stop_signal),
    FIELD("stopTimeout", FIELD_NUMBER, stop_timeout),
    FIELD("created", FIELD_NUMBER, created),
    FIELD("started", FIELD_NUMBER, started),
    FIELD("finished", FIELD_NUMBER, finished),
    FIELD("exitCode", FIELD_NUMBER, exit_code),
    FIELD("oom", FIELD_BOOLEAN, oom),
    FIELD("reason", FIELD_TEXT, reason),
    FIELD("terminal", FIELD_BOOLEAN, terminal),
    FIELD("detached", FIELD_BOOLEAN, detached),
    FIELD("autoRemove", FIELD_BOOLEAN, auto_remove),
};

static const char *const status_names[] = {
    [CONTAINER_CREATED] = "created",
    [CONTAINER_RUNNING] = "running",
    [CONTAINER_EXITED] = "exited",
};

const char *container_status_name(enum container_status status)
{
    return status_names[status];
}

static void *member(const struct record *record, const struct field *field)
{
    return (void *)((uintptr_t)record + field->offset);
}

void record_free(struct record *record)
{
    if (!record)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (fields[i].kind == FIELD_TEXT)
            free(*(char **)member(record, &fields[i]));
        else if (fields[i].kind == FIELD_STRINGS)
            strv_free(*(char ***)member(record, &fields[i]));
    }
    free(record);
}

char *record_new_id(void)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char random[16];
    char text[2 * sizeof(random) + 1] = "";

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        abort(); /* the kernel promises up to 256 bytes at once */
    for (size_t i = 0; i < sizeof(random); i++) {
        text[2 * i] = digits[random[i] >> 4];
        text[2 * i + 1] = digits[random[i] & 15];
    }
    return must_copy(text);
}

int64_t record_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- reading and writing ---- */

static struct error *read_field(const json_t *object, const struct field *field, void *value)
{
    const char *text = NULL;

    switch (field->kind) {
    case FIELD_TEXT:
        TRY(json_get_string(object, RECORD_FILE, field->key, &text));
        *(char **)value = must_copy_or_null(text);
        return NULL;
    case FIELD_STRINGS:
        return json_get_strings(object, RECORD_FILE, field->key, STRINGS_LIMIT, value);
    case FIELD_NUMBER:
        return json_get_integer(object, RECORD_FILE, field->key, 0, INT64_MAX, value);
    case FIELD_BOOLEAN:
        return json_get_bool(object, RECORD_FILE, field->key, value);
    }
    return NULL;
}

static struct error *read_status(const json_t *object, enum container_status *ret_status)
{
    const char *text = "";

    TRY(json_get_string(object, RECORD_FILE, "status", &text));
    for (size_t i = 0; i < ARRAY_SIZE(status_names); i++)
        if (!strcmp(status_names[i], text)) {
            *ret_status = (enum container_status)i;
            return NULL;
        }
    return error_new(ERROR_DATA_LOSS, RECORD_FILE ": no such status: \"%s\"", text);
}

static struct error *parse_record(const char *id, const char *text, size_t length, struct record **ret_record)
{
    _cleanup_json_ json_t *object = NULL;
    _cleanup_record_ struct record *record = must_new(struct record);

    TRY(json_read(RECORD_FILE, text, length, &object));
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        TRY(read_field(object, &fields[i], member(record, &fields[i])));
    TRY(read_status(object, &record->status));
    if (!record->id || !record->name || strcmp(record->id, id))
        return error_new(ERROR_DATA_LOSS, RECORD_FILE ": not the record of %s", id);
    *ret_record = TAKE_PTR(record);
    return NULL;
}

struct error *record_load(const struct directories *directories, const char *id, struct record **ret_record)
{
    _cleanup_free_ char *path = directories_record_file(directories, id, RECORD_FILE);
    _cleanup_free_ char *text = NULL;
    size_t length;

    struct error *error = file_read(AT_FDCWD, path, RECORD_LIMIT, &text, &length);
    if (error)
        return error_wrap(error, "container %s", id);
    error = parse_record(id, text, length, ret_record);
    return error_wrap(
        error ? error_recode(error, ERROR_DATA_LOSS) : NULL, "the record of container %s is damaged", id);
}

static json_t *strings_to_json(char *const *vector)
{
    json_t *array = json_array();
    STRV_FOREACH (item, vector) {
        /* Linux takes any bytes as an argument; JSON does not. */
        json_t *text = json_string(*item);
        json_array_append_new(array, text ?: json_string("?"));
    }
    return array;
}

static json_t *field_to_json(const struct field *field, const void *value)
{
    switch (field->kind) {
    case FIELD_TEXT:
        return *(char *const *)value ? json_string(*(char *const *)value) : NULL;
    case FIELD_STRINGS:
        return *(char *const *const *)value ? strings_to_json(*(char *const *const *)value) : NULL;
    case FIELD_NUMBER:
        return json_integer(*(const int64_t *)value);
    case FIELD_BOOLEAN:
        return json_boolean(*(const bool *)value);
    }
    return NULL;
}

static char *record_text(const struct record *record)
{
    _cleanup_json_ json_t *object = json_object();

    json_object_set_new(object, "status", json_string(container_status_name(record->status)));
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        json_object_set_new(object, fields[i].key, field_to_json(&fields[i], member(record, &fields[i])));
    return json_write(object);
}

struct error *record_save(const struct directories *directories, const struct record *record)
{
    _cleanup_free_ char *path = directories_record_file(directories, record->id, RECORD_FILE);
    _cleanup_free_ char *fresh = must_printf("%s.%d", path, getpid());
    _cleanup_free_ char *text = record_text(record);

    struct error *error = file_write_text(AT_FDCWD, fresh, text);
    if (!error && rename(fresh, path) < 0)
        error = error_errno(errno, "cannot replace %s", path);
    if (error)
        unlink(fresh);
    return error_wrap(error, "cannot keep the record of container %s", record->name);
}
