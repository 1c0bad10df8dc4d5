/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runtimes as containerd starts them, by its own client ctr: what Kubernetes and docker users wait for, and
 * the only way to runtimes that are nothing but a shim. Image and containers lie in a namespace of this run's
 * own.
 */
#include "compare/subject.h"

#include "base/fd.h"
#include "base/strv.h"
#include "image/document.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define COMMAND_LIMIT 20000
#define IMPORT_LIMIT 300000
#define IMAGE "docker.io/library/compare:latest"

static char **begin(const struct workplace *workplace, const char *verb, const char *noun)
{
    char **arguments = NULL;
    strv_append(&arguments, "ctr");
    strv_append(&arguments, "--address");
    strv_append(&arguments, workplace->containerd);
    strv_append(&arguments, "--namespace");
    strv_append(&arguments, workplace->namespace);
    strv_append(&arguments, verb);
    if (noun)
        strv_append(&arguments, noun);
    return arguments;
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

/* Cleaning up: goes on after an interruption, and what is not there need not go. */
static void call_quietly(const struct workplace *workplace, char **arguments_taken)
{
    workplace->launcher->calm = true;
    error_free(call(workplace, arguments_taken, COMMAND_LIMIT, NULL));
    workplace->launcher->calm = false;
}

/* ---- the image ---- */

static char **words(const char *first, ...) __attribute__((sentinel));
static char **words(const char *first, ...)
{
    char **vector = NULL;
    va_list list;
    va_start(list, first);
    for (const char *word = first; word; word = va_arg(list, const char *))
        strv_append(&vector, word);
    va_end(list);
    return vector;
}

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
        words("tar", "--create", "--file", layer, "--directory", workplace->rootfs, "--numeric-owner", ".",
            NULL),
        IMPORT_LIMIT, NULL));
    TRY(call(workplace, words("sha256sum", layer, NULL), IMPORT_LIMIT, &digest));
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
        words("tar", "--create", "--file", archive, "--directory", directory, "manifest.json", "config.json",
            "layer.tar", NULL),
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
    char **import = begin(workplace, "images", "import");
    strv_append(&import, archive);
    return call(workplace, import, IMPORT_LIMIT, NULL);
}

void containerd_leave(const struct workplace *workplace)
{
    char **image = begin(workplace, "images", "rm");
    strv_append(&image, "--sync");
    strv_append(&image, IMAGE);
    call_quietly(workplace, image);
    char **namespace = begin(workplace, "namespaces", "rm");
    strv_append(&namespace, workplace->namespace);
    call_quietly(workplace, namespace);
}

/* ---- containers ---- */

/* "io.containerd.runc.v2", and what the runtime behind that shim says of itself where it has a program. */
static struct error *version(struct subject *subject, char **ret_version)
{
    _cleanup_free_ char *output = NULL;
    const char *program = !strcmp(subject->result->name, "caisson") ? subject->workplace->caisson
                          : !strcmp(subject->result->name, "kata")  ? "kata-runtime"
                                                                    : subject->result->name;
    struct error *error = call(subject->workplace,
        words(program, !strcmp(subject->result->name, "caisson") ? "version" : "--version", NULL),
        COMMAND_LIMIT, &output);
    if (error_code(error) == ERROR_CANCELLED)
        return error;
    *ret_version = error ? must_copy(subject->program)
                         : must_printf("%.*s, as %s", (int)strcspn(output, "\n"), output, subject->program);
    error_free(error);
    return NULL;
}

static struct error *run(
    struct subject *subject, const char *id, const struct purpose *purpose, char ***ret_arguments)
{
    char **arguments = begin(subject->workplace, "run", NULL);
    strv_append(&arguments, "--rm");
    strv_append(&arguments, "--seccomp");
    strv_append(&arguments, "--runtime");
    strv_append(&arguments, subject->program);
    if (purpose->volume) {
        strv_append(&arguments, "--mount");
        strv_append_printf(
            &arguments, "type=bind,src=%s,dst=/volume,options=rbind:rw", subject->workplace->volume);
    }
    strv_append(&arguments, IMAGE);
    strv_append(&arguments, id);
    strv_append(&arguments, "/probe");
    strv_extend(&arguments, purpose->command);
    *ret_arguments = arguments;
    return NULL;
}

static char **exec(struct subject *subject, const char *id, char *const *command)
{
    char **arguments = begin(subject->workplace, "tasks", "exec");
    strv_append(&arguments, "--exec-id");
    strv_append(&arguments, "probe");
    strv_append(&arguments, id);
    strv_extend(&arguments, command);
    return arguments;
}

/* In three steps, each of which may find nothing to do. */
static void end(struct subject *subject, const char *id)
{
    const struct workplace *workplace = subject->workplace;
    char **kill = begin(workplace, "tasks", "kill"), **delete = begin(workplace, "tasks", "delete"),
         **remove = begin(workplace, "containers", "rm");
    strv_append(&kill, "--signal");
    strv_append(&kill, "SIGKILL");
    strv_append(&kill, "--all");
    strv_append(&kill, id);
    strv_append(&delete, "--force");
    strv_append(&delete, id);
    strv_append(&remove, id);
    call_quietly(workplace, kill);
    call_quietly(workplace, delete);
    call_quietly(workplace, remove);
}

const struct subject_ops subject_containerd = {.version = version, .run = run, .exec = exec, .end = end};
