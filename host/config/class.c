/* SPDX-License-Identifier: Apache-2.0 */
#include "config/class.h"

#include "base/parse.h"
#include "base/strv.h"
#include "base/suggest.h"
#include "hv/hv.h"

#include <fnmatch.h>
#include <stddef.h>
#include <string.h>

#define MEBIBYTE (1ull << 20)

enum key_kind {
    KEY_HYPERVISOR,
    KEY_PATH,
    KEY_PARAMETERS,
    KEY_COUNT,
    KEY_COUNT_BOUND, /* a number, or "auto" */
    KEY_SIZE,
    KEY_SIZE_BOUND,
    KEY_FLAG,
    KEY_PATTERNS,
};

struct class_key {
    const char *name;
    enum key_kind kind;
    size_t offset;
    uint64_t minimum; /* of numbers and sizes */
    uint64_t maximum;
};

#define KEY(member, kind, minimum, maximum)                               \
    {                                                                     \
#member, kind, offsetof(struct class, member), (minimum), maximum \
    }

static const struct class_key keys[] = {
    KEY(hypervisor, KEY_HYPERVISOR, 0, 0),
    KEY(kernel, KEY_PATH, 0, 0),
    KEY(initrd, KEY_PATH, 0, 0),
    KEY(templates, KEY_PATH, 0, 0),
    KEY(kernel_params, KEY_PARAMETERS, 0, 0),
    KEY(vcpus, KEY_COUNT, 1, CLASS_VCPUS_MAX),
    KEY(vcpus_max, KEY_COUNT_BOUND, 1, CLASS_VCPUS_MAX),
    KEY(memory, KEY_SIZE, CLASS_MEMORY_MIN, CLASS_MEMORY_MAX),
    KEY(memory_max, KEY_SIZE_BOUND, CLASS_MEMORY_MIN, CLASS_MEMORY_MAX),
    KEY(memory_overhead, KEY_SIZE, 0, CLASS_MEMORY_MAX),
    KEY(scratch_size, KEY_SIZE, 0, INT64_MAX),
    KEY(guest_seccomp, KEY_FLAG, 0, 0),
    KEY(debug, KEY_FLAG, 0, 0),
    KEY(enable_annotations, KEY_PATTERNS, 0, 0),
};

/* ---- the table ---- */

static char same_letter(char letter)
{
    return letter == '-' ? '_' : letter;
}

static bool same_name(const char *one, const char *other)
{
    while (*one && same_letter(*one) == same_letter(*other)) {
        one++;
        other++;
    }
    return *one == '\0' && *other == '\0';
}

const struct class_key *class_key_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (same_name(keys[i].name, name))
            return &keys[i];
    return NULL;
}

const char *class_key_name(const struct class_key *key)
{
    return key->name;
}

const char *class_key_at(size_t index)
{
    return index < ARRAY_SIZE(keys) ? keys[index].name : NULL;
}

static const char *key_name(const void *list, size_t index)
{
    return class_key_at(index);
}

const char *class_key_nearest(const char *name)
{
    return suggest(name, key_name, NULL);
}

/* ---- values ---- */

static struct error *set_hypervisor(const char *name, char **member)
{
    if (strcmp(name, "auto") != 0 && !hv_by_name(name))
        return error_new(ERROR_INVALID_ARGUMENT,
            "hypervisor \"%s\" is not one that this build knows: auto, caisson-vmm, qemu-kvm or qemu-tcg",
            name);
    free(*member);
    *member = must_copy(name);
    return NULL;
}

static struct error *set_path(const char *key, const char *path, char **member)
{
    if (*path != '/')
        return error_new(ERROR_INVALID_ARGUMENT, "%s \"%s\" is not an absolute path", key, path);
    free(*member);
    *member = must_copy(path);
    return NULL;
}

/* Parameters that decide what the guest runs or how the runtime talks to it; "--" would hand the rest to the
   agent as its arguments. */
static const char *const reserved[] = {
    "console", "init", "rdinit", "initrd", "root", "reboot", "panic", "--"};

static struct error *check_parameter(const char *word, size_t length)
{
    size_t name = strcspn(word, "= ");
    if (name > length)
        name = length;
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
        if (strlen(reserved[i]) == name && strncmp(reserved[i], word, name) == 0)
            return error_new(ERROR_INVALID_ARGUMENT, "kernel_params: \"%.*s\" is the runtime's own to set",
                (int)length, word);
    return NULL;
}

static struct error *set_parameters(const char *text, char **member)
{
    if (strlen(text) > CLASS_KERNEL_PARAMS_MAX)
        return error_new(
            ERROR_OUT_OF_RANGE, "kernel_params: more than %d characters", CLASS_KERNEL_PARAMS_MAX);
    for (const char *at = text; *at; at++)
        if (*at < ' ' || *at > '~')
            return error_new(ERROR_INVALID_ARGUMENT, "kernel_params: character %zu is not printable ASCII",
                (size_t)(at - text) + 1);
    for (const char *word = text + strspn(text, " "); *word; word += strspn(word, " ")) {
        size_t length = strcspn(word, " ");
        TRY(check_parameter(word, length));
        word += length;
    }
    free(*member);
    *member = must_copy(text);
    return NULL;
}

static struct error *set_count(const struct class_key *key, const char *text, unsigned *member)
{
    uint64_t value = 0;
    TRY(parse_unsigned(key->name, text, key->minimum, key->maximum, &value));
    *member = (unsigned)value;
    return NULL;
}

static struct error *set_size(const struct class_key *key, const char *text, uint64_t *member)
{
    uint64_t value = 0;
    TRY(parse_size(key->name, text, &value));
    if (value < key->minimum)
        return error_new(ERROR_OUT_OF_RANGE, "%s \"%s\" is too little: %llum is the least", key->name, text,
            (unsigned long long)(key->minimum / MEBIBYTE));
    if (value > key->maximum)
        return error_new(ERROR_OUT_OF_RANGE, "%s \"%s\" is more than a machine can have", key->name, text);
    *member = value;
    return NULL;
}

static bool is_auto(const char *text)
{
    return strcmp(text, "auto") == 0;
}

static struct error *set_count_bound(const struct class_key *key, const char *text, unsigned *member)
{
    if (!is_auto(text))
        return set_count(key, text, member);
    *member = CLASS_AUTO;
    return NULL;
}

static struct error *set_size_bound(const struct class_key *key, const char *text, uint64_t *member)
{
    if (!is_auto(text))
        return set_size(key, text, member);
    *member = CLASS_AUTO;
    return NULL;
}

static struct error *set_flag(const char *key, const char *text, bool *member)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return error_new(ERROR_INVALID_ARGUMENT, "%s \"%s\" is neither true nor false", key, text);
    *member = strcmp(text, "true") == 0;
    return NULL;
}

/* Words between spaces and commas. Each is a shell pattern over names; one that can never match is a mistake,
   but annotations of Kata's that have no counterpart here may be listed too. */
static struct error *set_patterns(const char *text, char ***member)
{
    _cleanup_strv_ char **patterns = NULL;
    for (const char *word = text + strspn(text, " ,"); *word; word += strspn(word, " ,")) {
        size_t length = strcspn(word, " ,");
        if (strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_-*?") < length)
            return error_new(ERROR_INVALID_ARGUMENT,
                "enable_annotations: \"%.*s\" is no pattern of names: letters, digits, \"_\", \"*\" and "
                "\"?\" are",
                (int)length, word);
        strv_take(&patterns, must_copy_length(word, length));
        word += length;
    }
    strv_free(*member);
    *member = TAKE_PTR(patterns);
    return NULL;
}

struct error *class_set(struct class *class, const struct class_key *key, const char *value)
{
    void *member = (char *)class + key->offset;
    switch (key->kind) {
    case KEY_HYPERVISOR:
        return set_hypervisor(value, member);
    case KEY_PATH:
        return set_path(key->name, value, member);
    case KEY_PARAMETERS:
        return set_parameters(value, member);
    case KEY_COUNT:
        return set_count(key, value, member);
    case KEY_COUNT_BOUND:
        return set_count_bound(key, value, member);
    case KEY_SIZE:
        return set_size(key, value, member);
    case KEY_SIZE_BOUND:
        return set_size_bound(key, value, member);
    case KEY_FLAG:
        return set_flag(key->name, value, member);
    case KEY_PATTERNS:
        return set_patterns(value, member);
    }
    return NULL;
}

/* ---- the class as a whole ---- */

struct class *class_new(const char *name)
{
    struct class *class = must_new(struct class);
    *class = (struct class){.name = must_copy(name),
        .hypervisor = must_copy("auto"),
        .kernel_params = must_copy(""),
        .vcpus = 1,
        .vcpus_max = CLASS_AUTO,
        .memory = 512 * MEBIBYTE,
        .memory_max = CLASS_AUTO,
        .memory_overhead = 64 * MEBIBYTE,
        .guest_seccomp = true};
    return class;
}

struct class *class_copy(const struct class *class)
{
    struct class *copy = must_new(struct class);
    *copy = *class;
    copy->name = must_copy(class->name);
    copy->hypervisor = must_copy(class->hypervisor);
    copy->kernel = must_copy_or_null(class->kernel);
    copy->initrd = must_copy_or_null(class->initrd);
    copy->templates = must_copy_or_null(class->templates);
    copy->kernel_params = must_copy(class->kernel_params);
    copy->enable_annotations = strv_copy(class->enable_annotations);
    return copy;
}

struct error *class_check(const struct class *class, const struct class_key **ret_key)
{
    if (class->vcpus_max != CLASS_AUTO && class->vcpus > class->vcpus_max) {
        *ret_key = class_key_find("vcpus_max");
        return error_new(
            ERROR_INVALID_ARGUMENT, "vcpus is %u, vcpus_max only %u", class->vcpus, class->vcpus_max);
    }
    if (class->memory_max != CLASS_AUTO && class->memory > class->memory_max) {
        *ret_key = class_key_find("memory_max");
        return error_new(ERROR_INVALID_ARGUMENT, "memory is %llum, memory_max only %llum",
            (unsigned long long)(class->memory / MEBIBYTE),
            (unsigned long long)(class->memory_max / MEBIBYTE));
    }
    return NULL;
}

static bool matches(char *const *patterns, const char *name)
{
    _cleanup_free_ char *plain = must_copy(name);
    for (char *letter = plain; *letter; letter++)
        *letter = same_letter(*letter);
    STRV_FOREACH (pattern, patterns)
        if (fnmatch(*pattern, plain, 0) == 0)
            return true;
    return false;
}

bool class_allows(const struct class *class, const char *name, const char *alias)
{
    return matches(class->enable_annotations, name) || (alias && matches(class->enable_annotations, alias));
}

void class_free(struct class *class)
{
    if (!class)
        return;
    free(class->name);
    free(class->hypervisor);
    free(class->kernel);
    free(class->initrd);
    free(class->templates);
    free(class->kernel_params);
    strv_free(class->enable_annotations);
    free(class);
}
