/* SPDX-License-Identifier: Apache-2.0 */
/* This project's own runtime, by its own command line, in a store of its own. */
#include "compare/app.h"

#include "base/strv.h"

#include <string.h>

#define VERSION_LIMIT 10000
#define LOAD_LIMIT 300000
#define END_LIMIT 20000
#define IMAGE "compare"

/* The program with its own directories: through env, so that no other container of this user is touched. */
static char **begin(const struct subject *subject)
{
    char **arguments = NULL;
    strv_append(&arguments, "env");
    strv_append_printf(&arguments, "CAISSON_DATA=%s/caisson-data", subject->workplace->directory);
    strv_append_printf(&arguments, "CAISSON_STATE=%s/caisson-state", subject->workplace->directory);
    strv_append(&arguments, subject->program);
    return arguments;
}

static struct error *version(struct subject *subject, char **ret_version)
{
    _cleanup_strv_ char **arguments = begin(subject);
    struct launched launched = {0};
    strv_append(&arguments, "version");
    strv_append(&arguments, "--format");
    strv_append(&arguments, "{{.Name}} {{.Version}}");
    TRY(launch_checked(subject->workplace->launcher, arguments, VERSION_LIMIT, &launched));
    launched.output[strcspn(launched.output, "\n")] = '\0';
    *ret_version = must_copy(launched.output);
    launched_clear(&launched);
    return NULL;
}

/* The same files for all: the directory becomes an image once. */
static struct error *prepare(struct subject *subject)
{
    _cleanup_strv_ char **arguments = begin(subject);
    struct launched launched = {0};
    strv_append(&arguments, "load");
    strv_append(&arguments, "--name");
    strv_append(&arguments, IMAGE);
    strv_append(&arguments, "-i");
    strv_append(&arguments, subject->workplace->rootfs);
    TRY(launch_checked(subject->workplace->launcher, arguments, LOAD_LIMIT, &launched));
    launched_clear(&launched);
    return NULL;
}

static char **begin_run(const struct subject *subject, const char *id)
{
    char **arguments = begin(subject);
    strv_append(&arguments, "run");
    strv_append(&arguments, "--rm");
    strv_append(&arguments, "--name");
    strv_append(&arguments, id);
    strv_append(&arguments, "--hypervisor");
    strv_append(&arguments, subject->variant);
    return arguments;
}

static struct error *run(
    struct subject *subject, const char *id, const struct purpose *purpose, char ***ret_arguments)
{
    char **arguments = begin_run(subject, id);
    if (purpose->volume) {
        strv_append(&arguments, "-v");
        strv_append_printf(&arguments, "%s:/volume", subject->workplace->volume);
    }
    if (purpose->port) {
        strv_append(&arguments, "-p");
        strv_append_printf(&arguments, "127.0.0.1:%u:%u", purpose->port, purpose->port);
    }
    strv_append(&arguments, IMAGE);
    strv_append(&arguments, purpose_program(purpose));
    strv_extend(&arguments, purpose->command);
    *ret_arguments = arguments;
    return NULL;
}

/* The image as it says it wants to be run, its port at a port of the host. */
static struct error *run_app(struct subject *subject, const char *id, const struct network_space *space,
    struct endpoint *endpoint, char ***ret_arguments)
{
    char **arguments = begin_run(subject, id);
    strv_append(&arguments, "-p");
    strv_append_printf(&arguments, "127.0.0.1:%u:%u", endpoint->port, subject->workplace->app->port);
    strv_append(&arguments, APP_NAME);
    *ret_arguments = arguments;
    return NULL;
}

static char **exec(struct subject *subject, const char *id, char *const *command)
{
    char **arguments = begin(subject);
    strv_append(&arguments, "exec");
    strv_append(&arguments, id);
    strv_extend(&arguments, command);
    return arguments;
}

static void end(struct subject *subject, const char *id)
{
    _cleanup_strv_ char **arguments = begin(subject);
    strv_append(&arguments, "rm");
    strv_append(&arguments, "-f");
    strv_append(&arguments, id);
    launch_calmly(subject->workplace->launcher, arguments, END_LIMIT);
}

const struct subject_ops subject_caisson = {
    .version = version, .prepare = prepare, .run = run, .run_app = run_app, .exec = exec, .end = end};
