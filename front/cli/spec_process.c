/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/environment.h"
#include "cli/options.h"
#include "cli/spec.h"

#include "base/json.h"
#include "base/parse.h"
#include "base/strv.h"

#include <string.h>

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---- environment ---- */

/* HOME comes from the container's own passwd, so the agent adds it. */
static struct error *build_environment(const struct spec_input *input, json_t **ret_array)
{
    _cleanup_strv_ char **environment = NULL;

    STRV_FOREACH (assignment, input->image->environment)
        TRY(environment_set(&environment, *assignment));
    environment_default(&environment, "PATH", PATH_DEFAULT);
    environment_default(&environment, "HOSTNAME", input->hostname);
    if (input->settings->terminal)
        environment_default(&environment, "TERM", "xterm");
    STRV_FOREACH (assignment, input->environment)
        TRY(environment_set(&environment, *assignment));
    return spec_strings("the variable", environment, ret_array);
}

/* ---- user ---- */

/* Numbers are ready to use; names are for the agent, which sees the container's passwd and group. It also
   looks up further groups and the home directory, so the text goes along in either case. */
static struct error *build_user(const struct spec_input *input, json_t **ret_user)
{
    const char *text = input->settings->user ?: input->image->user;
    _cleanup_json_ json_t *user = json_pack("{s:i, s:i}", "uid", 0, "gid", 0);
    _cleanup_json_ json_t *groups = json_array();
    uint64_t group;

    if (text && *text && json_object_set_new(user, "username", json_string(text)) < 0)
        return error_new(ERROR_INVALID_ARGUMENT, "the user \"%s\" is not UTF-8", text);
    STRV_FOREACH (name, input->settings->groups) {
        TRY(parse_unsigned("--group-add", *name, 0, UINT32_MAX - 1, &group));
        json_array_append_new(groups, json_integer((json_int_t)group));
    }
    json_object_set(user, "additionalGids", groups);
    *ret_user = TAKE_PTR(user);
    return NULL;
}

/* ---- resource limits ---- */

static const char *const limit_names[] = {"as", "core", "cpu", "data", "fsize", "locks", "memlock",
    "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack", NULL};

static const char *limit_name(const void *list, size_t index)
{
    return ((const char *const *)list)[index];
}

static struct error *find_limit(const char *text, const char *name, char **ret_type)
{
    for (size_t i = 0; limit_names[i]; i++)
        if (!strcmp(limit_names[i], name)) {
            char *type = must_printf("RLIMIT_%s", name);
            for (char *letter = type; *letter; letter++)
                if (*letter >= 'a' && *letter <= 'z')
                    *letter = (char)(*letter - 'a' + 'A');
            *ret_type = type;
            return NULL;
        }
    const char *near = suggest(name, limit_name, limit_names);
    return error_new(ERROR_INVALID_ARGUMENT, "--ulimit %s: there is no limit \"%s\"%s%s", text, name,
        near ? "; did you mean " : "", near ?: "");
}

static struct error *parse_limit(const char *text, const char *value, uint64_t *ret_value)
{
    _cleanup_free_ char *what = must_printf("--ulimit %s", text);

    if (!strcmp(value, "-1") || !strcmp(value, "unlimited")) {
        *ret_value = SPEC_UNLIMITED;
        return NULL;
    }
    return parse_unsigned(what, value, 0, SPEC_UNLIMITED - 1, ret_value);
}

static struct error *parse_ulimit(const char *text, json_t *limits)
{
    _cleanup_free_ char *copy = must_copy(text), *type = NULL;
    char *value = strchr(copy, '=');
    uint64_t soft, hard;

    if (!value)
        return error_new(ERROR_INVALID_ARGUMENT, "--ulimit %s: it is NAME=SOFT or NAME=SOFT:HARD", text);
    *value++ = '\0';
    TRY(find_limit(text, copy, &type));
    char *colon = strchr(value, ':');
    if (colon)
        *colon++ = '\0';
    TRY(parse_limit(text, value, &soft));
    hard = soft;
    if (colon)
        TRY(parse_limit(text, colon, &hard));
    if (soft > hard)
        return error_new(ERROR_INVALID_ARGUMENT, "--ulimit %s: the soft limit is above the hard one", text);
    json_array_append_new(limits,
        json_pack("{s:s, s:I, s:I}", "type", type, "soft", (json_int_t)soft, "hard", (json_int_t)hard));
    return NULL;
}

static struct error *build_limits(const struct spec_input *input, json_t **ret_limits)
{
    _cleanup_json_ json_t *limits = json_array();

    STRV_FOREACH (text, input->settings->limits)
        TRY(parse_ulimit(*text, limits));
    *ret_limits = TAKE_PTR(limits);
    return NULL;
}

/* ---- capabilities ---- */

/* Inheritable and ambient stay empty: what a program that is not root's may do is then in its file. */
static json_t *build_capabilities(char *const *names)
{
    json_t *array = json_array();

    STRV_FOREACH (name, names) {
        json_array_append_new(array, json_string(*name));
    }
    return json_pack("{s:o, s:O, s:O}", "bounding", array, "effective", array, "permitted", array);
}

/* ---- the process ---- */

static struct error *check_directory(const char *directory)
{
    if (*directory == '/')
        return NULL;
    return error_new(
        ERROR_INVALID_ARGUMENT, "the working directory \"%s\" is not an absolute path", directory);
}

static const char *directory_of(const struct spec_input *input)
{
    const char *directory = input->settings->working_directory ?: input->image->working_directory;
    return directory && *directory ? directory : "/";
}

struct error *spec_process(const struct spec_input *input, json_t **ret_process)
{
    _cleanup_json_ json_t *arguments = NULL, *environment = NULL, *user = NULL, *limits = NULL;
    _cleanup_strv_ char **command = NULL;

    TRY(check_directory(directory_of(input)));
    TRY(spec_command(input, &command));
    TRY(spec_strings("the argument", command, &arguments));
    TRY(build_environment(input, &environment));
    TRY(build_user(input, &user));
    TRY(build_limits(input, &limits));
    *ret_process = json_pack("{s:b, s:O, s:O, s:O, s:s, s:o, s:O, s:b}", "terminal",
        input->settings->terminal, "user", user, "args", arguments, "env", environment, "cwd",
        directory_of(input), "capabilities", build_capabilities(input->capabilities), "rlimits", limits,
        "noNewPrivileges", input->no_new_privileges);
    if (!*ret_process)
        return error_new(ERROR_INVALID_ARGUMENT, "the working directory is not UTF-8");
    return NULL;
}
