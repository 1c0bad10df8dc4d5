/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"
#include "base/suggest.h"
#include "config/file.h"

#include <fcntl.h>
#include <glob.h>
#include <string.h>

/* A value that was found good, for [default] or one class. */
struct assignment {
    char *class_name;
    const struct class_key *key;
    char *value;
    char *place; /* FILE:LINE */
};

struct config {
    char **classes; /* names, "default" first */
    struct assignment *assignments;
    size_t assignment_count;
};

/* One file while it is read. */
struct reading {
    struct config *config;
    const char *file;
};

/* ---- headings and keys ---- */

/* "class NAME" or "default"; *ret_name is borrowed from the heading. */
static struct error *read_heading(const char *heading, const char **ret_name)
{
    static const char prefix[] = "class ";
    const char *name = heading;
    if (strcmp(heading, CONFIG_DEFAULT_CLASS) != 0) {
        if (strncmp(heading, prefix, strlen(prefix)) != 0)
            return error_new(ERROR_INVALID_ARGUMENT, "[%s] is neither [default] nor [class NAME]", heading);
        name = heading + strlen(prefix);
        name += strspn(name, " ");
        if (strlen(heading) > 48) /* inih's limit, where it would cut the name */
            return error_new(ERROR_INVALID_ARGUMENT, "[%s]: the name is too long", heading);
        TRY(identifier_check("the name of a class", name));
    }
    *ret_name = name;
    return NULL;
}

static struct error *take_section(void *context, unsigned line, const char *heading)
{
    struct config *config = ((struct reading *)context)->config;
    const char *name = NULL;
    TRY(read_heading(heading, &name));
    if (strv_contains(config->classes, name))
        return NULL;
    if (strv_length(config->classes) == CONFIG_CLASSES_MAX)
        return error_new(ERROR_OUT_OF_RANGE, "more than %d classes", CONFIG_CLASSES_MAX);
    strv_append(&config->classes, name);
    return NULL;
}

static struct error *unknown_key(const char *name)
{
    const char *near = class_key_nearest(name);
    if (near)
        return error_new(ERROR_INVALID_ARGUMENT, "there is no key \"%s\"; did you mean \"%s\"?", name, near);
    return error_new(ERROR_INVALID_ARGUMENT, "there is no key \"%s\"; caisson.conf(5) lists them", name);
}

static struct error *take_assignment(
    void *context, unsigned line, const char *section, const char *name, const char *value)
{
    struct reading *reading = context;
    struct config *config = reading->config;
    const char *class_name = NULL;
    if (!*section)
        return error_new(
            ERROR_INVALID_ARGUMENT, "\"%s\" stands before the first [default] or [class NAME]", name);
    TRY(read_heading(section, &class_name));
    const struct class_key *key = class_key_find(name);
    if (!key)
        return unknown_key(name);
    _cleanup_class_ struct class *trial = class_new("");
    TRY(class_set(trial, key, value));
    if (config->assignment_count == CONFIG_ASSIGNMENTS_MAX)
        return error_new(ERROR_OUT_OF_RANGE, "more than %d assignments", CONFIG_ASSIGNMENTS_MAX);
    config->assignments =
        must_resize(config->assignments, config->assignment_count + 1, sizeof(*config->assignments));
    config->assignments[config->assignment_count++] = (struct assignment){.class_name = must_copy(class_name),
        .key = key,
        .value = must_copy(value),
        .place = must_printf("%s:%u", reading->file, line)};
    return NULL;
}

/* ---- classes ---- */

static struct error *apply(const struct config *config, const char *name, struct class *class)
{
    for (size_t i = 0; i < config->assignment_count; i++)
        if (strcmp(config->assignments[i].class_name, name) == 0)
            TRY(class_set(class, config->assignments[i].key, config->assignments[i].value));
    return NULL;
}

/* Where the key was set last, for this class or by default; NULL where it never was. */
static const char *last_place(const struct config *config, const char *name, const struct class_key *key)
{
    const char *place = NULL;
    for (size_t i = 0; i < config->assignment_count; i++) {
        const struct assignment *assignment = &config->assignments[i];
        bool ours = strcmp(assignment->class_name, name) == 0;
        if (assignment->key == key && (ours || strcmp(assignment->class_name, CONFIG_DEFAULT_CLASS) == 0))
            place = assignment->place;
    }
    return place;
}

static const char *class_name_at(const void *list, size_t index)
{
    return ((char *const *)list)[index];
}

static struct error *no_such_class(const struct config *config, const char *name)
{
    const char *near = suggest(name, class_name_at, config->classes);
    if (near)
        return error_new(ERROR_NOT_FOUND, "there is no class \"%s\"; did you mean \"%s\"?", name, near);
    _cleanup_free_ char *known = strv_join(config->classes, ", ");
    return error_new(ERROR_NOT_FOUND, "there is no class \"%s\"; there are: %s", name, known);
}

struct error *config_class(const struct config *config, const char *name, struct class **ret_class)
{
    if (!strv_contains(config->classes, name))
        return no_such_class(config, name);
    _cleanup_class_ struct class *class = class_new(name);
    const struct class_key *key = NULL;
    TRY(apply(config, CONFIG_DEFAULT_CLASS, class));
    if (strcmp(name, CONFIG_DEFAULT_CLASS) != 0)
        TRY(apply(config, name, class));
    struct error *error = class_check(class, &key);
    if (error) {
        const char *place = last_place(config, name, key);
        return error_wrap(error, "%s: class %s", place ? place : "the configuration", name);
    }
    *ret_class = TAKE_PTR(class);
    return NULL;
}

static struct error *check_classes(const struct config *config)
{
    STRV_FOREACH (name, config->classes) {
        _cleanup_class_ struct class *class = NULL;
        TRY(config_class(config, *name, &class));
    }
    return NULL;
}

/* ---- files ---- */

static struct config *config_new(void)
{
    struct config *config = must_new(struct config);
    strv_append(&config->classes, CONFIG_DEFAULT_CLASS);
    return config;
}

static struct error *add_text(struct config *config, const char *file, const char *text, size_t length)
{
    struct reading reading = {.config = config, .file = file};
    const struct config_reader reader = {
        .section = take_section, .assign = take_assignment, .context = &reading};
    return config_file_parse(file, text, length, &reader);
}

static struct error *add_file(struct config *config, const char *file)
{
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    TRY(file_read(AT_FDCWD, file, CONFIG_FILE_MAX, &text, &length));
    return add_text(config, file, text, length);
}

static void release_glob(glob_t *found)
{
    globfree(found);
}

/* A directory that is missing or cannot be searched has no files. */
static struct error *add_directory(struct config *config, const char *file)
{
    __attribute__((cleanup(release_glob))) glob_t found = {0};
    const char *slash = strrchr(file, '/');
    _cleanup_free_ char *pattern =
        must_printf("%.*sconf.d/*.conf", slash ? (int)(slash + 1 - file) : 0, file);
    if (glob(pattern, GLOB_NOESCAPE, NULL, &found) != 0)
        return NULL;
    for (size_t i = 0; i < found.gl_pathc; i++)
        TRY(add_file(config, found.gl_pathv[i]));
    return NULL;
}

struct error *config_load(const char *file, bool optional, struct config **ret_config)
{
    _cleanup_config_ struct config *config = config_new();
    struct error *error = add_file(config, file);
    if (optional && error_number(error) == ENOENT)
        error_free(TAKE_PTR(error));
    if (error)
        return error;
    TRY(add_directory(config, file));
    TRY(check_classes(config));
    *ret_config = TAKE_PTR(config);
    return NULL;
}

struct error *config_parse(const char *name, const char *text, size_t length, struct config **ret_config)
{
    _cleanup_config_ struct config *config = config_new();
    TRY(add_text(config, name, text, length));
    TRY(check_classes(config));
    *ret_config = TAKE_PTR(config);
    return NULL;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->assignment_count; i++) {
        free(config->assignments[i].class_name);
        free(config->assignments[i].value);
        free(config->assignments[i].place);
    }
    free(config->assignments);
    strv_free(config->classes);
    free(config);
}

/* ---- where it is ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

void config_place_find(const char *given, struct config_place *ret_place)
{
    const char *environment = getenv("CAISSON_CONFIG");
    bool foreign = given && ends_with(given, ".toml");
    bool chosen = given && *given && !foreign;
    if (!chosen)
        given = environment && *environment ? environment : CONFIG_FILE;
    const char *hash = strrchr(given, '#');
    *ret_place = (struct config_place){
        .file = hash ? must_copy_length(given, (size_t)(hash - given)) : must_copy(given),
        .class_name = hash ? must_copy(hash + 1) : NULL,
        .optional = !chosen && !(environment && *environment),
        .foreign = foreign};
}

void config_place_clear(struct config_place *place)
{
    free(TAKE_PTR(place->file));
    free(TAKE_PTR(place->class_name));
}
