/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copies are started through the copied loader, by its --library-path: their own paths of libraries and
 * loader are those of the host's distribution, and /usr of the containers stays as it is.
 */
#include "compare/tools.h"

#include "base/strv.h"

#include <string.h>
#include <sys/stat.h>

#define ASK_LIMIT 10000
#define COPY_LIMIT 60000
#define LIBRARIES TOOLS_DIRECTORY "/lib"

static const struct {
    const char *name;
    const char *path; /* in the container; NULL: it runs on the host */
} tools[TOOL_COUNT] = {
    [TOOL_SYSBENCH] = {"sysbench", TOOLS_DIRECTORY "/sysbench"},
    [TOOL_FIO] = {"fio", TOOLS_DIRECTORY "/fio"},
    [TOOL_WRK] = {"wrk", NULL},
};

/* ---- what it loads ---- */

/* "\tlibz.so.1 => /lib/libz.so.1 (0x7f...)", "\t/lib64/ld-linux-x86-64.so.2 (0x7f...)"; what the kernel gives
   has no path. */
char **libraries_of(const char *ldd_output)
{
    _cleanup_strv_ char **lines = strv_split(ldd_output, '\n'), **libraries = NULL;
    _cleanup_free_ char *loader = NULL;
    char **all = NULL;
    STRV_FOREACH (line, lines) {
        const char *arrow = strstr(*line, "=> ");
        const char *path = arrow ? arrow + 3 : *line + strspn(*line, " \t");
        if (*path != '/')
            continue;
        char *text = must_copy_length(path, strcspn(path, " \t"));
        if (arrow || loader)
            strv_take(&libraries, text);
        else
            loader = text;
    }
    if (!loader)
        return NULL;
    strv_append(&all, loader);
    strv_extend(&all, libraries);
    return all;
}

/* ---- into the root file system ---- */

static struct error *make_directories(const char *rootfs)
{
    static const char *const directories[] = {TOOLS_DIRECTORY, LIBRARIES};
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        _cleanup_free_ char *path = must_printf("%s%s", rootfs, directories[i]);
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return error_errno(errno, "making %s", path);
    }
    return NULL;
}

/* With cp, which knows every trick of the file system. */
static struct error *copy(struct launcher *launcher, char *const *files, const char *directory)
{
    _cleanup_strv_ char **arguments = NULL;
    struct launched launched = {0};
    strv_append(&arguments, "cp");
    strv_append(&arguments, "--dereference");
    strv_append(&arguments, "--target-directory");
    strv_append(&arguments, directory);
    strv_extend(&arguments, files);
    TRY(launch_checked(launcher, arguments, COPY_LIMIT, &launched));
    launched_clear(&launched);
    return NULL;
}

static struct error *install(
    struct launcher *launcher, const char *rootfs, const char *program, struct toolbox *box)
{
    char *const ask[] = {(char[]){"ldd"}, (char *)(uintptr_t)program, NULL};
    struct launched launched = {0};
    _cleanup_free_ char *directory = must_printf("%s" TOOLS_DIRECTORY, rootfs),
                        *below = must_printf("%s" LIBRARIES, rootfs);
    TRY(make_directories(rootfs));
    TRY(launch_checked(launcher, ask, ASK_LIMIT, &launched));
    _cleanup_strv_ char **libraries = libraries_of(launched.output);
    launched_clear(&launched);
    if (!libraries)
        return error_new(ERROR_UNIMPLEMENTED, "ldd does not say which loader %s needs", program);
    TRY(copy(launcher, libraries, below));
    TRY(copy(launcher, (char *[]){(char *)(uintptr_t)program, NULL}, directory));
    if (!box->loader)
        box->loader = must_printf(LIBRARIES "%s", strrchr(libraries[0], '/'));
    return NULL;
}

/* ---- the box ---- */

static struct error *ask_version(struct launcher *launcher, char *program, char **ret_version)
{
    char *const arguments[] = {program, (char[]){"--version"}, NULL};
    struct launched launched = {0};
    TRY(launch(launcher, arguments, ASK_LIMIT, &launched)); /* wrk says it with a bad exit code */
    size_t length = strcspn(launched.output, "\n[");        /* wrk has its author behind a bracket */
    while (length > 0 && launched.output[length - 1] == ' ')
        length--;
    *ret_version = must_copy_length(launched.output, length);
    launched_clear(&launched);
    return NULL;
}

static struct error *fill_one(
    struct launcher *launcher, const char *rootfs, enum tool tool, struct toolbox *box)
{
    _cleanup_free_ char *program = program_find(tools[tool].name);
    if (!program)
        return error_new(ERROR_NOT_FOUND, "%s is not installed here (Debian has a package of that name)",
            tools[tool].name);
    TRY(ask_version(launcher, program, &box->versions[tool]));
    return tools[tool].path ? install(launcher, rootfs, program, box) : NULL;
}

struct error *toolbox_fill(
    struct launcher *launcher, const char *rootfs, const bool wanted[TOOL_COUNT], struct toolbox *ret_box)
{
    struct toolbox box = {0};
    struct error *error = NULL;
    for (enum tool tool = 0; tool < TOOL_COUNT && error_code(error) != ERROR_CANCELLED; tool++) {
        error_free(error);
        error = wanted[tool] ? fill_one(launcher, rootfs, tool, &box) : NULL;
        if (error)
            box.missing[tool] = must_copy(error_message(error));
    }
    *ret_box = box;
    if (error_code(error) == ERROR_CANCELLED)
        return error;
    error_free(error);
    return NULL;
}

void toolbox_clear(struct toolbox *box)
{
    for (enum tool tool = 0; tool < TOOL_COUNT; tool++) {
        free(box->missing[tool]);
        free(box->versions[tool]);
    }
    free(box->loader);
    *box = (struct toolbox){0};
}

json_t *toolbox_describe(const struct toolbox *box)
{
    json_t *object = json_object();
    for (enum tool tool = 0; tool < TOOL_COUNT; tool++) {
        const char *text = box->missing[tool] ?: box->versions[tool];
        if (text)
            json_object_set_new(object, tools[tool].name, json_string(text));
    }
    return object;
}

const char *toolbox_command(const struct toolbox *box, enum tool tool, char ***ret_arguments)
{
    char **arguments = NULL;
    strv_append(&arguments, "--library-path");
    strv_append(&arguments, LIBRARIES);
    strv_append(&arguments, tools[tool].path);
    *ret_arguments = arguments;
    return box->loader;
}
