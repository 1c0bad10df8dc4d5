/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/seccomp.h"

#include "base/fd.h"
#include "base/json.h"
#include "base/strv.h"

#include <fcntl.h>
#include <string.h>

#define PROFILE_LIMIT (1u << 20)
#define NAMES_LIMIT 4096

/* The rest of the members mean the same in the OCI's format. */
static const char *const kept[] = {"names", "action", "errnoRet", "args"};

/* What the rule's `includes` or `excludes` says, read once. */
struct condition {
    char **capabilities;
    char **architectures;
    const char *kernel; /* "4.8", or NULL */
};

static void condition_clear(struct condition *condition)
{
    strv_free(condition->capabilities);
    strv_free(condition->architectures);
}

#define _cleanup_condition_ __attribute__((cleanup(condition_clear)))

static struct error *read_condition(
    const json_t *rule, const char *place, const char *key, struct condition *ret_condition)
{
    json_t *object = NULL;

    TRY(json_get_object(rule, place, key, &object));
    if (!object)
        return NULL;
    TRY(json_get_strings(object, place, "caps", NAMES_LIMIT, &ret_condition->capabilities));
    TRY(json_get_strings(object, place, "arches", NAMES_LIMIT, &ret_condition->architectures));
    return json_get_string(object, place, "minKernel", &ret_condition->kernel);
}

/* The guest's kernel is at least 6.12, newer than any profile asks for. */
static bool any_holds(const struct condition *condition, char *const *capabilities)
{
    STRV_FOREACH (name, condition->capabilities)
        if (strv_contains(capabilities, *name))
            return true;
    return strv_contains(condition->architectures, "amd64") || condition->kernel;
}

static bool all_hold(const struct condition *condition, char *const *capabilities)
{
    STRV_FOREACH (name, condition->capabilities)
        if (!strv_contains(capabilities, *name))
            return false;
    return !condition->architectures || strv_contains(condition->architectures, "amd64");
}

static struct error *applies(
    const json_t *rule, const char *place, char *const *capabilities, bool *ret_applies)
{
    _cleanup_condition_ struct condition includes = {0}, excludes = {0};

    TRY(read_condition(rule, place, "includes", &includes));
    TRY(read_condition(rule, place, "excludes", &excludes));
    *ret_applies = all_hold(&includes, capabilities) && !any_holds(&excludes, capabilities);
    return NULL;
}

static json_t *convert_rule(const json_t *rule)
{
    json_t *result = json_object();

    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        json_t *value = json_object_get(rule, kept[i]);
        /* docker's own profile says "args": null. */
        if (value && !json_is_null(value))
            json_object_set(result, kept[i], value);
    }
    /* The format of docker 1.10 had one name a rule. */
    if (json_is_string(json_object_get(rule, "name")))
        json_object_set_new(result, "names", json_pack("[O]", json_object_get(rule, "name")));
    return result;
}

static struct error *convert_rules(
    const json_t *profile, const char *path, char *const *capabilities, json_t *ret_rules)
{
    json_t *rules = NULL, *rule;
    size_t index;

    TRY(json_get_array(profile, path, "syscalls", &rules));
    json_array_foreach (rules, index, rule) {
        _cleanup_free_ char *place = must_printf("%s: syscalls[%zu]", path, index);
        bool wanted;
        if (!json_is_object(rule))
            return error_new(ERROR_INVALID_ARGUMENT, "%s is not an object", place);
        TRY(applies(rule, place, capabilities, &wanted));
        if (wanted)
            json_array_append_new(ret_rules, convert_rule(rule));
    }
    return NULL;
}

struct error *seccomp_read_file(const char *path, char *const *capabilities, json_t **ret_profile)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *profile = NULL, *rules = json_array();
    size_t length;

    TRY(file_read(AT_FDCWD, path, PROFILE_LIMIT, &text, &length));
    TRY(json_read(path, text, length, &profile));
    if (!json_is_object(profile) || !json_is_string(json_object_get(profile, "defaultAction")))
        return error_new(
            ERROR_INVALID_ARGUMENT, "%s is not a seccomp profile: it has no defaultAction", path);
    TRY(convert_rules(profile, path, capabilities, rules));
    json_object_set(profile, "syscalls", rules);
    if (json_object_get(profile, "archMap")) {
        json_object_del(profile, "archMap");
        json_object_set_new(
            profile, "architectures", json_pack("[s, s]", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86"));
    }
    *ret_profile = TAKE_PTR(profile);
    return NULL;
}
