/* SPDX-License-Identifier: Apache-2.0 */
#include "base/strv.h"
#include "cli/setup_files.h"

#include <stdarg.h>
#include <string.h>

static void note(struct setup_plan *plan, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct setup_plan *plan, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    strv_take(&plan->notes, must_vprintf(format, arguments));
    va_end(arguments);
}

static void add_change(
    struct setup_plan *plan, const struct setup_files *files, const struct setup_file *file, char *after)
{
    if (after && strcmp(file->text, after) == 0) {
        free(after);
        return;
    }
    plan->changes = must_resize(plan->changes, plan->change_count + 1, sizeof(*plan->changes));
    plan->changes[plan->change_count++] = (struct setup_change){.path = must_copy(file->path),
        .before = file->exists ? must_copy(file->text) : NULL,
        .after = after,
        .main = file == files->files};
}

/* ---- what the configuration says ---- */

/* Whether the file has the section of the plugin that runs containers. */
static bool has_section(const struct setup_file *file)
{
    char *const *path = file->runtimes;
    if (!path)
        return false;
    char *const section[] = {path[0], path[1], NULL};
    for (size_t i = 0; i < file->toml->count; i++)
        if (toml_is_below(&file->toml->statements[i], section))
            return true;
    return false;
}

static const struct toml_statement *find_handler(const struct setup_file *file, const char *handler)
{
    if (!file->runtimes)
        return NULL;
    _cleanup_strv_ char **path = strv_copy(file->runtimes);
    strv_append(&path, handler);
    for (size_t i = 0; i < file->toml->count; i++)
        if (toml_is_below(&file->toml->statements[i], path))
            return &file->toml->statements[i];
    return NULL;
}

static bool has_runtimes(const struct setup_file *file)
{
    for (size_t i = 0; i < file->toml->count; i++)
        if (strv_length(file->toml->statements[i].path) > SETUP_RUNTIMES_DEPTH &&
            toml_is_below(&file->toml->statements[i], file->runtimes))
            return true;
    return false;
}

/* The file and line where the plugin is switched off: "FILE:LINE", or NULL. */
static struct error *find_disabled(const struct setup_file *file, char **ret_place)
{
    static const char *const names[] = {"cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"};
    char key[] = "disabled_plugins";
    char *const path[] = {key, NULL};
    const struct toml_statement *statement = setup_file_find(file, path);
    _cleanup_strv_ char **disabled = NULL;
    if (!statement)
        return NULL;
    TRY(toml_strings(file->toml, statement, &disabled));
    for (size_t i = 0; i < ARRAY_SIZE(names) && !*ret_place; i++)
        if (strv_contains(disabled, names[i]))
            *ret_place = must_printf("%s:%u", file->path, statement->line);
    return NULL;
}

/* ---- what cannot be added to ---- */

/* How many of the statement's first parts are those of the table of runtimes. */
static size_t common_parts(const struct toml_statement *statement, char *const *runtimes)
{
    size_t count = 0;
    while (runtimes[count] && statement->path[count] && strcmp(runtimes[count], statement->path[count]) == 0)
        count++;
    return count;
}

/* A table of the way to the runtimes that is a value, a list, or made by a dotted key cannot get another
   table later in the file. */
static bool closes_the_way(const struct toml_statement *statement, char *const *runtimes)
{
    size_t length = strv_length(statement->path), common = common_parts(statement, runtimes);
    if (statement->table)
        return statement->array && common == (length < SETUP_RUNTIMES_DEPTH ? length : SETUP_RUNTIMES_DEPTH);
    bool is_value = common == length;
    bool is_dotted = common > length - statement->own && statement->own > 1;
    return is_value || is_dotted;
}

static struct error *check_way(const struct setup_file *file)
{
    for (size_t i = 0; file->runtimes && i < file->toml->count; i++) {
        const struct toml_statement *statement = &file->toml->statements[i];
        if (!closes_the_way(statement, file->runtimes))
            continue;
        _cleanup_free_ char *name = strv_join(statement->path, ".");
        return error_new(ERROR_INVALID_ARGUMENT,
            "%s:%u: %s is written so that no runtime can be added after it; write it as tables, like "
            "[plugins.\"%s\".containerd.runtimes.NAME]",
            file->path, statement->line, name, file->runtimes[1]);
    }
    return NULL;
}

static struct error *check_version(const struct setup_file *file)
{
    if (file->version != 1)
        return NULL;
    return error_new(ERROR_FAILED_PRECONDITION,
        "%s:1: this is version 1 of containerd's configuration; make it version 2 first: containerd config "
        "migrate, or by hand",
        file->path);
}

/* ---- the plan ---- */

static struct setup_file *find_target(const struct setup_files *files)
{
    for (size_t i = files->count; i > 0; i--)
        if (has_section(&files->files[i - 1]))
            return &files->files[i - 1];
    return &files->files[0];
}

static const char **missing_handlers(
    struct setup_plan *plan, const struct setup_files *files, const char *const *handlers)
{
    size_t count = 0, kept = 0;
    while (handlers[count])
        count++;
    const char **missing = must_alloc_array(count + 1, sizeof(*missing));
    for (size_t i = 0; i < count; i++) {
        const struct toml_statement *statement = NULL;
        size_t file = 0;
        for (; file < files->count && !statement; file++)
            statement = find_handler(&files->files[file], handlers[i]);
        if (statement)
            note(plan, "the runtime %s is there already (%s:%u) and stays as it is", handlers[i],
                files->files[file - 1].path, statement->line);
        else
            missing[kept++] = handlers[i];
    }
    return missing;
}

static struct error *plan_adding(
    struct setup_plan *plan, const struct setup_files *files, const char *const *handlers)
{
    _cleanup_free_ char *disabled = NULL;
    for (size_t i = 0; i < files->count && !disabled; i++)
        TRY(find_disabled(&files->files[i], &disabled));
    if (disabled) {
        note(plan, "the CRI plugin is off (%s): ctr, nerdctl and docker need no configuration", disabled);
        return NULL;
    }
    for (size_t i = 0; i < files->count; i++)
        TRY(check_way(&files->files[i]));
    struct setup_file *target = find_target(files);
    TRY(check_version(target));
    _cleanup_free_ const char **missing = missing_handlers(plan, files, handlers);
    if (!*missing)
        return NULL;
    const struct setup_block block = {.version = target->version ? target->version : 2,
        .say_version = target->version == 0,
        .with_runc = target->version <= 2 && !has_runtimes(target),
        .handlers = missing};
    add_change(plan, files, target, setup_block_insert(&target->parts, target->exists, &block));
    return NULL;
}

/* Blocks of ours in files that are not the target, or in all of them. */
static void plan_removing(struct setup_plan *plan, const struct setup_files *files, const char *keep)
{
    for (size_t i = 0; i < files->count; i++) {
        const struct setup_file *file = &files->files[i];
        if (!file->parts.found || (keep && strcmp(file->path, keep) == 0))
            continue;
        bool empty = file->parts.made_file && !*file->parts.head && !*file->parts.tail;
        add_change(plan, files, file, empty ? NULL : must_printf("%s%s", file->parts.head, file->parts.tail));
    }
}

struct error *setup_plan_make(
    const char *file, const char *const *handlers, bool undo, struct setup_plan **ret_plan)
{
    _cleanup_setup_plan_ struct setup_plan *plan = must_new(struct setup_plan);
    _cleanup_setup_files_ struct setup_files *files = NULL;
    TRY(setup_files_read(file, &files));
    if (!undo)
        TRY(plan_adding(plan, files, handlers));
    plan_removing(plan, files, undo ? NULL : find_target(files)->path);
    *ret_plan = TAKE_PTR(plan);
    return NULL;
}

void setup_plan_free(struct setup_plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->change_count; i++) {
        free(plan->changes[i].path);
        free(plan->changes[i].before);
        free(plan->changes[i].after);
    }
    free(plan->changes);
    strv_free(plan->notes);
    free(plan);
}
