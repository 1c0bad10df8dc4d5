/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Annotations that set keys of the class: ours by name, Kata's by a table
 * (github.com/kata-containers/kata-containers docs/how-to/how-to-set-sandbox-config-kata.md). As with Kata, a
 * permitted one with a bad value is an error; one that is not permitted, or that means nothing here, changes
 * nothing.
 */
#include "sandbox/settings_parts.h"

#include "base/parse.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define KATA_PREFIX "io.katacontainers.config"

/* How Kata's value becomes ours. */
enum kata_form {
    KATA_PROCESSORS, /* a number with decimals, rounded up */
    KATA_MEBIBYTES,
    KATA_PARAMETERS, /* added to the class's */
    KATA_NOT,        /* a truth value of the opposite sense */
};

struct kata_annotation {
    const char *name; /* after KATA_PREFIX; its last part is what enable_annotations may list */
    const char *key;
    enum kata_form form;
};

static const struct kata_annotation kata_annotations[] = {
    {".hypervisor.default_vcpus", "vcpus", KATA_PROCESSORS},
    {".hypervisor.default_max_vcpus", "vcpus_max", KATA_PROCESSORS},
    {".hypervisor.default_memory", "memory", KATA_MEBIBYTES},
    {".hypervisor.default_maxmemory", "memory_max", KATA_MEBIBYTES},
    {".hypervisor.kernel_params", "kernel_params", KATA_PARAMETERS},
    {".runtime.disable_guest_seccomp", "guest_seccomp", KATA_NOT},
};

/* io.caisson. names that are read elsewhere: by settings.c, settings_network.c and the agent. */
static const char *const other_names[] = {"class", "network", "ports", "dns", "init"};

struct annotating {
    struct settings *settings;
    bool trusted;
    struct settings_wishes wishes;
};

/* ---- Kata's values ---- */

static struct error *of_processors(const char *name, const char *text, char **ret_value)
{
    uint64_t thousandths = 0;
    TRY(parse_thousandths(name, text, &thousandths));
    *ret_value = must_printf("%" PRIu64, (thousandths + 999) / 1000);
    return NULL;
}

static struct error *of_mebibytes(const char *name, const char *text, char **ret_value)
{
    uint64_t mebibytes = 0;
    TRY(parse_unsigned(name, text, 0, CLASS_MEMORY_MAX >> 20, &mebibytes));
    *ret_value = must_printf("%" PRIu64 "m", mebibytes);
    return NULL;
}

/* The words that Go's strconv.ParseBool takes. */
static struct error *of_truth(const char *name, const char *text, char **ret_value)
{
    static const char *const truths[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const untruths[] = {"0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < ARRAY_SIZE(truths); i++) {
        bool is_true = strcmp(truths[i], text) == 0;
        if (is_true || strcmp(untruths[i], text) == 0) {
            *ret_value = must_copy(is_true ? "false" : "true");
            return NULL;
        }
    }
    return error_new(ERROR_INVALID_ARGUMENT, "%s \"%s\" is neither true nor false", name, text);
}

static struct error *translate(
    const struct kata_annotation *annotation, const struct class *class, const char *text, char **ret_value)
{
    const char *name = strrchr(annotation->name, '.') + 1;
    switch (annotation->form) {
    case KATA_PROCESSORS:
        return of_processors(name, text, ret_value);
    case KATA_MEBIBYTES:
        return of_mebibytes(name, text, ret_value);
    case KATA_NOT:
        return of_truth(name, text, ret_value);
    case KATA_PARAMETERS:
        *ret_value = must_printf("%s%s%s", class->kernel_params, *class->kernel_params ? " " : "", text);
        return NULL;
    }
    return NULL;
}

static void wish(struct settings_wishes *wishes, const char *key, bool exact)
{
    bool vcpus = strcmp(key, "vcpus") == 0, memory = strcmp(key, "memory") == 0;
    wishes->vcpus_exact |= vcpus && exact;
    wishes->vcpus_least |= vcpus && !exact;
    wishes->memory_exact |= memory && exact;
    wishes->memory_least |= memory && !exact;
}

static void remark_not_allowed(struct annotating *annotating, const char *name)
{
    settings_remark(annotating->settings,
        "annotation %s is left aside: enable_annotations of class %s does not list it", name,
        annotating->settings->class->name);
}

static const struct kata_annotation *find_kata(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(kata_annotations); i++)
        if (strcmp(kata_annotations[i].name, name) == 0)
            return &kata_annotations[i];
    return NULL;
}

static struct error *take_kata(struct annotating *annotating, const char *name, const char *text)
{
    struct class *class = annotating->settings->class;
    const struct kata_annotation *annotation = find_kata(name + strlen(KATA_PREFIX));
    _cleanup_free_ char *value = NULL;
    if (!annotation) {
        settings_remark(
            annotating->settings, "annotation %s is left aside: it has no counterpart in Caisson", name);
        return NULL;
    }
    const char *alias = strrchr(annotation->name, '.') + 1;
    if (!annotating->trusted && !class_allows(class, annotation->key, alias)) {
        remark_not_allowed(annotating, name);
        return NULL;
    }
    struct error *error = translate(annotation, class, text, &value);
    if (!error)
        error = class_set(class, class_key_find(annotation->key), value);
    wish(&annotating->wishes, annotation->key, false);
    return error_wrap(error, "annotation %s", name);
}

/* ---- ours ---- */

static bool is_read_elsewhere(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(other_names); i++)
        if (strcmp(other_names[i], name) == 0)
            return true;
    return false;
}

static bool is_own_command_lines(const char *name)
{
    return strcmp(name, "network") == 0 || strcmp(name, "ports") == 0 || strcmp(name, "dns") == 0;
}

/* enable_annotations itself, and files of the host, are nothing that a pod may choose. */
static bool is_never_annotated(const struct class_key *key)
{
    static const char *const names[] = {
        "enable_annotations", "kernel", "initrd", "templates", "memory_overhead"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(names[i], class_key_name(key)) == 0)
            return true;
    return false;
}

static void remark_unknown(struct annotating *annotating, const char *name)
{
    const char *near = class_key_nearest(name + strlen(SETTINGS_PREFIX));
    settings_remark(annotating->settings, "annotation %s is left aside: there is no such setting%s%s%s", name,
        near ? "; did you mean " SETTINGS_PREFIX : "", near ? near : "", near ? "?" : "");
}

static struct error *take_own(struct annotating *annotating, const char *name, const char *text)
{
    struct class *class = annotating->settings->class;
    const char *key_name = name + strlen(SETTINGS_PREFIX);
    const struct class_key *key = class_key_find(key_name);
    if (!annotating->trusted && is_own_command_lines(key_name))
        settings_remark(
            annotating->settings, "annotation %s is left aside: it is for Caisson's own command line", name);
    if (is_read_elsewhere(key_name) || *text == '\0')
        return NULL;
    if (!key) {
        remark_unknown(annotating, name);
        return NULL;
    }
    if (is_never_annotated(key) || (!annotating->trusted && !class_allows(class, key_name, NULL))) {
        remark_not_allowed(annotating, name);
        return NULL;
    }
    /* The command line says "auto" where its user said nothing. */
    if (strcmp(key_name, "hypervisor") == 0 && strcmp(text, "auto") == 0)
        return NULL;
    wish(&annotating->wishes, class_key_name(key), true);
    return error_wrap(class_set(class, key, text), "annotation %s", name);
}

/* ---- all of them ---- */

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static struct error *take(struct annotating *annotating, const Grpc__StringEntry *entry)
{
    if (begins_with(entry->key, KATA_PREFIX "."))
        return take_kata(annotating, entry->key, entry->value);
    if (begins_with(entry->key, SETTINGS_PREFIX))
        return take_own(annotating, entry->key, entry->value);
    if (strcmp(entry->key, KATA_PREFIX "_path") == 0)
        settings_remark(annotating->settings,
            "annotation %s is left aside: %s is a configuration of Kata Containers", entry->key,
            entry->value);
    return NULL;
}

static bool is_above(uint64_t bound, uint64_t other)
{
    return other != CLASS_AUTO && (bound == CLASS_AUTO || bound > other);
}

/* An annotation may lower what the class allows, not raise it. */
static struct error *check_bounds(const struct class *before, struct class *after)
{
    const struct class_key *key = NULL;
    if (is_above(after->vcpus_max, before->vcpus_max))
        after->vcpus_max = before->vcpus_max;
    if (is_above(after->memory_max, before->memory_max))
        after->memory_max = before->memory_max;
    return error_wrap(class_check(after, &key), "annotations of the sandbox, in class %s", after->name);
}

struct error *settings_annotate(
    struct settings *settings, const Grpc__Spec *spec, bool trusted, struct settings_wishes *ret_wishes)
{
    struct annotating annotating = {.settings = settings, .trusted = trusted};
    _cleanup_class_ struct class *before = class_copy(settings->class);
    for (size_t i = 0; i < spec->n_annotations; i++)
        TRY(take(&annotating, spec->annotations[i]));
    TRY(check_bounds(before, settings->class));
    *ret_wishes = annotating.wishes;
    return NULL;
}
