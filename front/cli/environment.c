/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/environment.h"

#include "base/fd.h"
#include "base/strv.h"

#include <fcntl.h>
#include <string.h>

#define FILE_LIMIT (1u << 20)

static char **find(char *const *environment, const char *name, size_t length)
{
    for (; environment && *environment; environment++)
        if (!strncmp(*environment, name, length) && (*environment)[length] == '=')
            return (char **)(uintptr_t)environment;
    return NULL;
}

static void take(char ***environment, char *assignment)
{
    char **found = find(*environment, assignment, strcspn(assignment, "="));

    if (!found) {
        strv_take(environment, assignment);
        return;
    }
    free(*found);
    *found = assignment;
}

static void drop(char **environment, const char *name)
{
    char **found = find(environment, name, strlen(name));

    if (!found)
        return;
    free(*found);
    do
        found[0] = found[1];
    while (*found++);
}

struct error *environment_set(char ***environment, const char *assignment)
{
    if (!*assignment || *assignment == '=')
        return error_new(
            ERROR_INVALID_ARGUMENT, "\"%s\" is not a variable: it is NAME=VALUE or NAME", assignment);
    if (strchr(assignment, '='))
        take(environment, must_copy(assignment));
    else if (getenv(assignment))
        take(environment, must_printf("%s=%s", assignment, getenv(assignment)));
    else
        drop(*environment, assignment);
    return NULL;
}

struct error *environment_read_file(char ***environment, const char *path)
{
    _cleanup_free_ char *text = NULL;
    char *rest, *line;
    unsigned number = 0;

    struct error *error = file_read(AT_FDCWD, path, FILE_LIMIT, &text, NULL);
    if (error)
        return error_wrap(error, "--env-file");
    rest = text;
    while ((line = strsep(&rest, "\n"))) {
        number++;
        size_t length = strlen(line);
        if (length > 0 && line[length - 1] == '\r')
            line[length - 1] = '\0';
        line += strspn(line, " \t");
        if (!*line || *line == '#')
            continue;
        error = environment_set(environment, line);
        if (error)
            return error_wrap(error, "%s, line %u", path, number);
    }
    return NULL;
}

const char *environment_get(char *const *environment, const char *name)
{
    char **found = find(environment, name, strlen(name));
    return found ? *found + strlen(name) + 1 : NULL;
}

void environment_default(char ***environment, const char *name, const char *value)
{
    if (!environment_get(*environment, name))
        strv_append_printf(environment, "%s=%s", name, value);
}
