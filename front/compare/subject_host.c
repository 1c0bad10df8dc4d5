/* SPDX-License-Identifier: Apache-2.0 */
/* The host itself: the baseline. A "container" is just the program. */
#include "compare/subject.h"

#include "base/strv.h"

#include <string.h>
#include <sys/utsname.h>

static struct error *version(struct subject *subject, char **ret_version)
{
    struct utsname name;
    uname(&name);
    *ret_version = must_printf("%s %s", name.sysname, name.release);
    return NULL;
}

/* Paths of the container, where they are on the host. */
static char *host_path(const struct workplace *workplace, const char *argument)
{
    if (!strcmp(argument, "/volume"))
        return must_copy(workplace->volume);
    return argument[0] == '/' ? must_printf("%s%s", workplace->rootfs, argument) : must_copy(argument);
}

static struct error *run(
    struct subject *subject, const char *id, const struct purpose *purpose, char ***ret_arguments)
{
    char **arguments = NULL;
    strv_take(&arguments, host_path(subject->workplace, purpose_program(purpose)));
    STRV_FOREACH (argument, purpose->command)
        strv_take(&arguments, host_path(subject->workplace, *argument));
    *ret_arguments = arguments;
    return NULL;
}

static void end(struct subject *subject, const char *id)
{
}

const struct subject_ops subject_host = {.is_plain = true, .version = version, .run = run, .end = end};
