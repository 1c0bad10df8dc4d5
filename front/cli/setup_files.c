/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/setup_files.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"

#include <fcntl.h>
#include <glob.h>
#include <string.h>

const struct toml_statement *setup_file_find(const struct setup_file *file, char *const *path)
{
    const struct toml_statement *found = NULL;
    for (size_t i = 0; i < file->toml->count; i++) {
        const struct toml_statement *statement = &file->toml->statements[i];
        if (strv_length(statement->path) == strv_length(path) && toml_is_below(statement, path))
            found = statement;
    }
    return found;
}

static const struct toml_statement *find_top(const struct setup_file *file, const char *key)
{
    char *const path[] = {(char *)(uintptr_t)key, NULL};
    return setup_file_find(file, path);
}

/* ---- one file ---- */

/* What containerd makes of it; an import without a version has the main file's. */
static struct error *read_version(struct setup_file *file, int main_version)
{
    const struct toml_statement *statement = find_top(file, "version");
    int64_t version = main_version ? main_version : file->toml->count > 0;
    if (statement)
        TRY(toml_integer(file->toml, statement, &version));
    if (version < 0 || (version > 1 && !setup_plugin((int)version)))
        return error_new(ERROR_INVALID_ARGUMENT,
            "%s:%u: this program does not know version %s of containerd's configuration", file->path,
            statement ? statement->line : 1, statement ? statement->value : "0");
    file->version = (int)version;
    return NULL;
}

static void name_runtimes(struct setup_file *file)
{
    const char *plugin = setup_plugin(file->version == 0 ? 2 : file->version);
    const char *const path[SETUP_RUNTIMES_DEPTH] = {"plugins", plugin, "containerd", "runtimes"};
    for (size_t i = 0; plugin && i < ARRAY_SIZE(path); i++)
        strv_append(&file->runtimes, path[i]);
}

/* Ours becomes empty lines, so that the others keep their numbers. */
static void blank_ours(char *text, const struct setup_parts *parts)
{
    char *end = text + strlen(text) - strlen(parts->tail);
    for (char *at = text + strlen(parts->head); at < end; at++)
        if (*at != '\n')
            *at = ' ';
}

/* The text and what it says. */
static struct error *read_file(struct setup_file *file, bool may_miss, int main_version)
{
    _cleanup_free_ char *resolved = NULL;
    struct error *error = file_read(AT_FDCWD, file->path, TOML_MAX, &file->text, NULL);
    file->exists = !error;
    if (may_miss && error_number(error) == ENOENT) {
        error_free(TAKE_PTR(error));
        file->text = must_copy("");
    }
    if (error)
        return error;
    if (file->exists) {
        TRY(path_resolve(file->path, &resolved));
        free(file->path);
        file->path = TAKE_PTR(resolved);
    }
    TRY(setup_parts_read(file->path, file->text, &file->parts));
    _cleanup_free_ char *others = must_copy(file->text);
    blank_ours(others, &file->parts);
    TRY(toml_parse(file->path, others, strlen(others), &file->toml));
    TRY(read_version(file, main_version));
    name_runtimes(file);
    return NULL;
}

static struct setup_file *find_file(const struct setup_files *files, const char *path)
{
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->files[i].path, path) == 0)
            return &files->files[i];
    return NULL;
}

static struct error *add_file(struct setup_files *files, const char *path, bool may_miss)
{
    if (find_file(files, path))
        return NULL;
    if (files->count == SETUP_FILES_MAX)
        return error_new(
            ERROR_OUT_OF_RANGE, "%s: more than %d files are imported", files->files[0].path, SETUP_FILES_MAX);
    files->files = must_resize(files->files, files->count + 1, sizeof(*files->files));
    struct setup_file *file = &files->files[files->count++];
    *file = (struct setup_file){.path = must_copy(path)};
    return read_file(file, may_miss, files->count > 1 ? files->files[0].version : 0);
}

/* ---- imports ---- */

static void release_glob(glob_t *found)
{
    globfree(found);
}

/* A pattern without a match imports nothing; a plain name has to exist. */
static struct error *add_import(struct setup_files *files, const char *parent, const char *import)
{
    __attribute__((cleanup(release_glob))) glob_t found = {0};
    const char *slash = strrchr(parent, '/');
    _cleanup_free_ char *path = *import == '/' || !slash
                                    ? must_copy(import)
                                    : must_printf("%.*s/%s", (int)(slash - parent), parent, import);
    if (!strpbrk(path, "*?["))
        return add_file(files, path, false);
    if (glob(path, 0, NULL, &found) != 0)
        return NULL;
    for (size_t i = 0; i < found.gl_pathc; i++)
        TRY(add_file(files, found.gl_pathv[i], false));
    return NULL;
}

static struct error *add_imports(struct setup_files *files, size_t index)
{
    const struct toml_statement *statement = find_top(&files->files[index], "imports");
    _cleanup_strv_ char **imports = NULL;
    if (!statement)
        return NULL;
    TRY(toml_strings(files->files[index].toml, statement, &imports));
    _cleanup_free_ char *parent = must_copy(files->files[index].path); /* the array moves */
    unsigned line = statement->line;
    STRV_FOREACH (import, imports) {
        struct error *error = add_import(files, parent, *import);
        if (error)
            return error_wrap(error, "%s:%u: import %s", parent, line, *import);
    }
    return NULL;
}

struct error *setup_files_read(const char *main_file, struct setup_files **ret_files)
{
    _cleanup_setup_files_ struct setup_files *files = must_new(struct setup_files);
    TRY(add_file(files, main_file, true));
    for (size_t i = 0; i < files->count; i++)
        TRY(add_imports(files, i));
    *ret_files = TAKE_PTR(files);
    return NULL;
}

void setup_files_free(struct setup_files *files)
{
    if (!files)
        return;
    for (size_t i = 0; i < files->count; i++) {
        free(files->files[i].path);
        free(files->files[i].text);
        setup_parts_clear(&files->files[i].parts);
        toml_free(files->files[i].toml);
        strv_free(files->files[i].runtimes);
    }
    free(files->files);
    free(files);
}
