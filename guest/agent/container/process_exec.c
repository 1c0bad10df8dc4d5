/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/process.h"

#include "base/strv.h"

#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define HOME_DEFAULT "/"

char **process_vector(const char *const *texts, size_t count)
{
    char **vector = must_alloc_array(count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++)
        vector[i] = must_copy(texts[i]);
    return vector;
}

static const char *environment_get(const char *const *environment, size_t count, const char *name)
{
    size_t length = strlen(name);
    const char *value = NULL;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environment[i], name, length) == 0 && environment[i][length] == '=')
            value = environment[i] + length + 1;
    return value;
}

static char **make_environment(const struct process_setup *setup)
{
    const Grpc__Process *process = setup->process;
    char **environment = process_vector(process->env, process->n_env);
    if (!environment_get(process->env, process->n_env, "HOME"))
        strv_append_printf(&environment, "HOME=%s", setup->home && *setup->home ? setup->home : HOME_DEFAULT);
    return environment;
}

static bool is_missing(int errnum)
{
    return errnum == ENOENT || errnum == ENOTDIR;
}

/* Tries each directory; returns the errno of the best try. */
static int exec_in_path(const char *path, char *const *arguments, char *const *environment)
{
    int reason = ENOENT;
    _cleanup_strv_ char **directories = strv_split(path, ':');
    STRV_FOREACH (directory, directories) {
        _cleanup_free_ char *file = must_printf("%s/%s", **directory ? *directory : ".", arguments[0]);
        execve(file, arguments, environment);
        /* A file that may not be executed here may stand elsewhere once more; anything else is the answer. */
        if (errno != EACCES && !is_missing(errno))
            return errno;
        if (errno == EACCES)
            reason = EACCES;
    }
    return reason;
}

/* runc's words: podman, Docker and containerd's clients look for them. */
static struct error *exec_error(const char *command, int reason)
{
    if (reason == EACCES)
        return error_new(ERROR_PERMISSION_DENIED, "exec: \"%s\": permission denied", command);
    if (!is_missing(reason))
        return error_recode(error_errno(reason, "exec: \"%s\"", command), ERROR_PERMISSION_DENIED);
    if (!strchr(command, '/'))
        return error_new(ERROR_NOT_FOUND, "exec: \"%s\": executable file not found in $PATH", command);
    if (access(command, F_OK) == 0)
        return error_new(ERROR_NOT_FOUND,
            "exec: \"%s\": its interpreter (the program of its #! line, or its dynamic loader) is missing",
            command);
    return error_new(ERROR_NOT_FOUND, "exec: \"%s\": stat %s: no such file or directory", command, command);
}

/* 0: nothing speaks against it. Only what is certain counts: a seccomp filter may forbid these very
   questions, and exec has the last word anyhow. */
static int check_program(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return is_missing(errno) || errno == EACCES ? errno : 0;
    if (S_ISDIR(status.st_mode))
        return EACCES;
    return access(path, X_OK) < 0 && errno == EACCES ? EACCES : 0;
}

/* As exec_in_path would go. */
static int look_in_path(const char *path, const char *command)
{
    int reason = ENOENT;
    _cleanup_strv_ char **directories = strv_split(path, ':');
    STRV_FOREACH (directory, directories) {
        _cleanup_free_ char *file = must_printf("%s/%s", **directory ? *directory : ".", command);
        int found = check_program(file);
        if (found == 0)
            return 0;
        if (found == EACCES)
            reason = EACCES;
    }
    return reason;
}

struct error *process_look_up(const struct process_setup *setup)
{
    const Grpc__Process *process = setup->process;
    const char *command = process->args[0];
    const char *path = environment_get(process->env, process->n_env, "PATH");
    int reason;
    if (strchr(command, '/'))
        reason = check_program(command);
    else
        reason = *command ? look_in_path(path ? path : PATH_DEFAULT, command) : ENOENT;
    return reason ? exec_error(command, reason) : NULL;
}

int process_failure_code(const struct error *error)
{
    switch (error_code(error)) {
    case ERROR_NOT_FOUND:
        return 127;
    case ERROR_PERMISSION_DENIED:
        return 126;
    default:
        return 125;
    }
}

/* Ignored signals and the mask pass through exec. */
static void reset_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

struct error *process_exec(const struct process_setup *setup)
{
    const Grpc__Process *process = setup->process;
    char **arguments = process_vector(process->args, process->n_args);
    char **environment = make_environment(setup);
    const char *path = environment_get(process->env, process->n_env, "PATH");
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    reset_signals();
    int reason;
    if (strchr(arguments[0], '/')) {
        execve(arguments[0], arguments, environment);
        reason = errno;
    } else {
        reason = *arguments[0] ? exec_in_path(path ? path : PATH_DEFAULT, arguments, environment) : ENOENT;
    }
    return exec_error(arguments[0], reason);
}
