/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runtimes as containerd starts them, by its own client ctr: what Kubernetes and docker users wait for, and
 * the only way to runtimes that are nothing but a shim. Image and containers lie in a namespace of this run's
 * own.
 */
#include "compare/app.h"
#include "compare/leftovers.h"
#include "compare/network_space.h"

#include "base/fd.h"
#include "base/strv.h"
#include "image/document.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define COMMAND_LIMIT 20000
#define IMPORT_LIMIT 300000
#define IMAGE "docker.io/library/compare:latest"
#define APP_IMAGE "docker.io/library/application:latest"

/* The vector with the words behind it. */
static char **with(char **vector_taken, ...) __attribute__((sentinel));
static char **with(char **vector_taken, ...)
{
    va_list list;
    va_start(list, vector_taken);
    for (const char *word; (word = va_arg(list, const char *));)
        strv_append(&vector_taken, word);
    va_end(list);
    return vector_taken;
}

/* `noun` may be NULL. */
static char **begin(const struct workplace *workplace, const char *verb, const char *noun)
{
    return with(NULL, "ctr", "--address", workplace->containerd, "--namespace", workplace->namespace, verb,
        noun, NULL);
}

/* Takes the arguments. `ret_output` may be NULL. */
static struct error *call(
    const struct workplace *workplace, char **arguments_taken, int limit, char **ret_output)
{
    _cleanup_strv_ char **arguments = arguments_taken;
    struct launched launched = {0};
    TRY(launch_checked(workplace->launcher, arguments, limit, &launched));
    if (ret_output)
        *ret_output = TAKE_PTR(launched.output);
    launched_clear(&launched);
    return NULL;
}

/* Clearing up goes on after an interruption, and what is not there need not go. */
static void call_quietly(const struct workplace *workplace, char **arguments_taken)
{
    launch_calmly(workplace->launcher, arguments_taken, COMMAND_LIMIT);
    strv_free(arguments_taken);
}

/* The names that `ctr NOUN ls --quiet` prints, owned by the caller; none where it fails. For clearing up. */
static char **names_of(const struct workplace *workplace, const char *noun)
{
    _cleanup_free_ char *output = NULL;
    bool was_calm = workplace->launcher->calm;
    workplace->launcher->calm = true;
    _cleanup_error_ struct error *error =
        call(workplace, with(begin(workplace, noun, "ls"), "--quiet", NULL), COMMAND_LIMIT, &output);
    workplace->launcher->calm = was_calm;
    _cleanup_strv_ char **lines = strv_split(error ? "" : output, '\n');
    char **names = NULL;
    STRV_FOREACH (line, lines)
        if (**line)
            strv_append(&names, *line);
    return names;
}

/* ---- the image ---- */

/* Docker's archive format, which needs no digest but the layer's: three files in a tar. */
static struct error *write_archive(const struct workplace *workplace, const char *archive)
{
    _cleanup_free_ char *directory = must_printf("%s/image", workplace->directory), *digest = NULL;
    _cleanup_free_ char *layer = must_printf("%s/layer.tar", directory);
    _cleanup_free_ char *config_path = must_printf("%s/config.json", directory);
    _cleanup_free_ char *manifest_path = must_printf("%s/manifest.json", directory);
    if (mkdir(directory, 0700) < 0)
        return error_errno(errno, "making %s", directory);
    TRY(call(workplace,
        with(NULL, "tar", "--create", "--file", layer, "--directory", workplace->rootfs, "--numeric-owner",
            ".", NULL),
        IMPORT_LIMIT, NULL));
    TRY(call(workplace, with(NULL, "sha256sum", layer, NULL), IMPORT_LIMIT, &digest));
    digest[strcspn(digest, " \n")] = '\0';
    _cleanup_free_ char *layer_id = must_printf("sha256:%s", digest);
    _cleanup_json_ json_t *config = json_pack("{s:s, s:s, s:{s:[s], s:[s]}, s:{s:s, s:[s]}}", "architecture",
        architecture_here(), "os", "linux", "config", "Env", "PATH=/usr/bin:/bin", "Cmd", "/probe", "rootfs",
        "type", "layers", "diff_ids", layer_id);
    _cleanup_json_ json_t *manifest =
        json_pack("[{s:s, s:[s], s:[s]}]", "Config", "config.json", "RepoTags", IMAGE, "Layers", "layer.tar");
    _cleanup_free_ char *config_text = json_write(config), *manifest_text = json_write(manifest);
    TRY(file_write_text(AT_FDCWD, config_path, config_text));
    TRY(file_write_text(AT_FDCWD, manifest_path, manifest_text));
    return call(workplace,
        with(NULL, "tar", "--create", "--file", archive, "--directory", directory, "manifest.json",
            "config.json", "layer.tar", NULL),
        IMPORT_LIMIT, NULL);
}

struct error *containerd_version(const struct workplace *workplace, char **ret_version)
{
    _cleanup_free_ char *output = NULL;
    TRY(call(workplace, begin(workplace, "version", NULL), COMMAND_LIMIT, &output));
    const char *server = strstr(output, "Server:");
    const char *version = server ? strstr(server, "Version:") : NULL;
    version = version ? version + strlen("Version:") : " of unknown version";
    version += strspn(version, " ");
    *ret_version = must_printf("containerd %.*s", (int)strcspn(version, "\n"), version);
    return NULL;
}

struct error *containerd_enter(const struct workplace *workplace)
{
    _cleanup_free_ char *archive = must_printf("%s/image.tar", workplace->directory);
    TRY(write_archive(workplace, archive));
    return call(workplace, with(begin(workplace, "images", "import"), archive, NULL), IMPORT_LIMIT, NULL);
}

struct error *containerd_import_app(const struct workplace *workplace, const char *source)
{
    struct stat status;
    if (stat(source, &status) < 0 || !S_ISREG(status.st_mode))
        return error_new(
            ERROR_UNIMPLEMENTED, "containerd is given image archives only, and %s is none", source);
    return call(workplace,
        with(begin(workplace, "images", "import"), "--index-name", APP_IMAGE, source, NULL), IMPORT_LIMIT,
        NULL);
}

void containerd_leave(const struct workplace *workplace)
{
    _cleanup_strv_ char **images = names_of(workplace, "images");
    STRV_FOREACH (image, images)
        call_quietly(workplace, with(begin(workplace, "images", "rm"), "--sync", *image, NULL));
    call_quietly(workplace, with(begin(workplace, "namespaces", "rm"), workplace->namespace, NULL));
}

/* ---- containers ---- */

#define RUNC_SHIM "io.containerd.runc.v2"

/* Given by its path: containerd's shim for runc runs any OCI runtime. */
static bool is_by_path(const struct subject *subject)
{
    return strchr(subject->program, '/') != NULL;
}

/* "io.containerd.runc.v2", and what the runtime behind that shim says of itself where it has a program. */
static struct error *version(struct subject *subject, char **ret_version)
{
    _cleanup_free_ char *output = NULL;
    const char *name = subject->result->name, *shim = is_by_path(subject) ? RUNC_SHIM : subject->program;
    bool is_own = !strcmp(name, "caisson");
    const char *program = is_own                  ? subject->workplace->caisson
                          : !strcmp(name, "kata") ? "kata-runtime"
                          : is_by_path(subject)   ? subject->program
                                                  : name;
    struct error *error = call(subject->workplace,
        with(NULL, program, is_own ? "version" : "--version", NULL), COMMAND_LIMIT, &output);
    if (error_code(error) == ERROR_CANCELLED)
        return error;
    *ret_version =
        error ? must_copy(shim) : must_printf("%.*s, as %s", (int)strcspn(output, "\n"), output, shim);
    error_free(error);
    return NULL;
}

static char **begin_run(const struct subject *subject, const struct network_space *space)
{
    const char *binary = is_by_path(subject) ? subject->program : subject->variant;
    char **arguments = with(begin(subject->workplace, "run", NULL), "--rm", "--seccomp", "--runtime",
        is_by_path(subject) ? RUNC_SHIM : subject->program, NULL);
    if (binary)
        arguments = with(arguments, "--runc-binary", binary, NULL);
    if (space) {
        strv_append(&arguments, "--with-ns");
        strv_append_printf(&arguments, "network:%s", space->path);
    }
    return arguments;
}

static struct error *run(
    struct subject *subject, const char *id, const struct purpose *purpose, char ***ret_arguments)
{
    char **arguments = begin_run(subject, purpose->space);
    if (purpose->volume) {
        strv_append(&arguments, "--mount");
        strv_append_printf(
            &arguments, "type=bind,src=%s,dst=/volume,options=rbind:rw", subject->workplace->volume);
    }
    arguments = with(arguments, IMAGE, id, purpose_program(purpose), NULL);
    strv_extend(&arguments, purpose->command);
    *ret_arguments = arguments;
    return NULL;
}

static struct error *run_app(struct subject *subject, const char *id, const struct network_space *space,
    struct endpoint *endpoint, char ***ret_arguments)
{
    const struct app *app = subject->workplace->app;
    if (app->unimported)
        return error_new(ERROR_UNAVAILABLE, "the image is not in containerd: %s", app->unimported);
    endpoint->port = app->port;
    *ret_arguments = with(begin_run(subject, space), APP_IMAGE, id, NULL);
    return NULL;
}

static char **exec(struct subject *subject, const char *id, char *const *command)
{
    char **arguments = with(begin(subject->workplace, "tasks", "exec"), "--exec-id", "probe", id, NULL);
    strv_extend(&arguments, command);
    return arguments;
}

/* In three steps, each of which may find nothing to do. */
static void end_container(const struct workplace *workplace, const char *id)
{
    call_quietly(
        workplace, with(begin(workplace, "tasks", "kill"), "--signal", "SIGKILL", "--all", id, NULL));
    call_quietly(workplace, with(begin(workplace, "tasks", "delete"), "--force", id, NULL));
    call_quietly(workplace, with(begin(workplace, "containers", "rm"), id, NULL));
}

static void end(struct subject *subject, const char *id)
{
    end_container(subject->workplace, id);
}

const struct subject_ops subject_containerd = {
    .version = version, .run = run, .run_app = run_app, .exec = exec, .end = end};

/* ---- what dead runs left ---- */

unsigned containerd_sweep(struct launcher *launcher, const char *address)
{
    const struct workplace any = {.containerd = address, .namespace = "default", .launcher = launcher};
    _cleanup_strv_ char **namespaces = names_of(&any, "namespaces");
    unsigned count = 0;
    STRV_FOREACH (name, namespaces) {
        const struct workplace dead = {.containerd = address, .namespace = *name, .launcher = launcher};
        struct owner owner;
        if (!owner_parse(*name, &owner) || owner_lives(owner))
            continue;
        _cleanup_strv_ char **containers = names_of(&dead, "containers");
        STRV_FOREACH (id, containers)
            end_container(&dead, *id);
        containerd_leave(&dead);
        cgroups_sweep(launcher, owner.pid);
        count++;
    }
    return count;
}
