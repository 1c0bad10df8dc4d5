/* SPDX-License-Identifier: Apache-2.0 */
/* Runtimes with the command line that runc established: runc, crun, runsc and whatever is given by path. */
#include "compare/app.h"

#include "base/strv.h"

#include <string.h>

#define VERSION_LIMIT 10000
#define END_LIMIT 20000

/* Also where it was given by its path. */
static bool is_gvisor(const struct subject *subject)
{
    return !strncmp(subject->result->name, "runsc", strlen("runsc"));
}

/* The program with its global options. */
static char **begin(const struct subject *subject, bool network)
{
    char **arguments = NULL;
    strv_append(&arguments, subject->program);
    strv_append(&arguments, "--root");
    strv_append_printf(&arguments, "%s/root", subject->state);
    if (subject->variant) {
        strv_append(&arguments, "--platform");
        strv_append(&arguments, subject->variant);
    }
    if (is_gvisor(subject)) {
        strv_append(&arguments, network ? "--network=host" : "--network=none");
    }
    return arguments;
}

static struct error *version(struct subject *subject, char **ret_version)
{
    char *const arguments[] = {subject->program, (char[]){"--version"}, NULL};
    struct launched launched = {0};
    TRY(launch_checked(subject->workplace->launcher, arguments, VERSION_LIMIT, &launched));
    launched.output[strcspn(launched.output, "\n")] = '\0';
    *ret_version = must_copy(launched.output);
    launched_clear(&launched);
    return NULL;
}

static char **on_bundle(
    const struct subject *subject, bool network, const char *verb, const char *bundle, const char *id)
{
    char **arguments = begin(subject, network);
    strv_append(&arguments, verb);
    strv_append(&arguments, "--bundle");
    strv_append(&arguments, bundle);
    strv_append(&arguments, id);
    return arguments;
}

static struct error *with_bundle(struct subject *subject, const char *verb, const char *id,
    const struct purpose *purpose, char ***ret_arguments)
{
    _cleanup_free_ char *bundle = NULL;
    TRY(bundle_write(subject, purpose, &bundle));
    *ret_arguments = on_bundle(subject, purpose->port != 0, verb, bundle, id);
    return NULL;
}

/* On the host's network: the port is the one that the application listens at. */
static struct error *run_app(struct subject *subject, const char *id, const struct network_space *space,
    struct endpoint *endpoint, char ***ret_arguments)
{
    const struct app *app = subject->workplace->app;
    _cleanup_free_ char *bundle = NULL;
    json_t *config = NULL;
    if (!app->rootfs)
        return error_new(ERROR_UNAVAILABLE, "the image could not be mounted for it: %s", app->unmounted);
    TRY(app_config(subject->workplace, &config));
    TRY(bundle_store(subject, config, &bundle));
    endpoint->port = app->port;
    *ret_arguments = on_bundle(subject, true, "run", bundle, id);
    return NULL;
}

static struct error *run(
    struct subject *subject, const char *id, const struct purpose *purpose, char ***ret_arguments)
{
    return with_bundle(subject, "run", id, purpose, ret_arguments);
}

static struct error *create(
    struct subject *subject, const char *id, const struct purpose *purpose, char ***ret_arguments)
{
    return with_bundle(subject, "create", id, purpose, ret_arguments);
}

static char **start(struct subject *subject, const char *id)
{
    char **arguments = begin(subject, false);
    strv_append(&arguments, "start");
    strv_append(&arguments, id);
    return arguments;
}

static char **remove_forced(struct subject *subject, const char *id)
{
    char **arguments = begin(subject, false);
    strv_append(&arguments, "delete");
    strv_append(&arguments, "--force");
    strv_append(&arguments, id);
    return arguments;
}

static char **exec(struct subject *subject, const char *id, char *const *command)
{
    char **arguments = begin(subject, false);
    strv_append(&arguments, "exec");
    strv_append(&arguments, id);
    strv_extend(&arguments, command);
    return arguments;
}

static void end(struct subject *subject, const char *id)
{
    _cleanup_strv_ char **arguments = remove_forced(subject, id);
    launch_calmly(subject->workplace->launcher, arguments, END_LIMIT);
}

const struct subject_ops subject_oci = {
    .version = version,
    .run = run,
    .run_app = run_app,
    .create = create,
    .start = start,
    .remove = remove_forced,
    .exec = exec,
    .end = end,
};
