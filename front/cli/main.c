/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caisson: finds the verb, lets the table parse its options, runs it, prints its error.
 */
#include "cli/verb.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Options that stand before the verb. */
struct global_settings {
    bool version;
    const char *address;
};

static const struct option global_options[] = {
    OPTION(global_settings, "version", 'v', OPTION_FLAG, version, NULL, "print the version"),
    /* The shim's way to call us; verbs find their directories themselves. */
    OPTION(global_settings, "address", 0, OPTION_TEXT, address, "ADDRESS", "of containerd; ignored"),
    OPTIONS_END,
};

static const char *verb_name(const void *list, size_t index)
{
    const struct verb *const *table = list;
    /* Hidden verbs stand last. */
    return table[index] && !table[index]->hidden ? table[index]->name : NULL;
}

static struct error *find_verb(const char *name, const struct verb **ret_verb)
{
    for (const struct verb *const *verb = verbs; *verb; verb++)
        if (!strcmp((*verb)->name, name)) {
            *ret_verb = *verb;
            return NULL;
        }
    const char *near = suggest(name, verb_name, verbs);
    if (near)
        return error_new(
            ERROR_INVALID_ARGUMENT, "there is no command \"%s\"; did you mean \"%s\"?", name, near);
    return error_new(ERROR_INVALID_ARGUMENT, "there is no command \"%s\"; caisson --help lists them", name);
}

static struct error *check_count(const struct verb *verb, char *const *arguments)
{
    unsigned count = 0;

    while (arguments[count])
        count++;
    if (count < verb->minimum)
        return error_new(
            ERROR_INVALID_ARGUMENT, "an argument is missing: caisson %s %s", verb->name, verb->arguments);
    if (count > verb->maximum)
        return error_new(ERROR_INVALID_ARGUMENT, "\"%s\" is one argument too many: caisson %s %s",
            arguments[verb->maximum], verb->name, verb->arguments);
    return NULL;
}

static struct error *run_with(const struct verb *verb, char **arguments, void *settings, int *ret_code)
{
    char **rest;
    bool help;

    if (verb->defaults)
        memcpy(settings, verb->defaults, verb->settings_size);
    struct error *error = options_parse(verb->options, arguments, verb->stop_early, settings, &rest, &help);
    if (error)
        return error_wrap(error, "%s", verb->name);
    if (help) {
        _cleanup_free_ char *text = help_of_verb(verb);
        fputs(text, stdout);
        *ret_code = 0;
        return NULL;
    }
    TRY(check_count(verb, rest));
    return verb->run(settings, rest, ret_code);
}

static struct error *run_verb(const struct verb *verb, char **arguments, int *ret_code)
{
    _cleanup_free_ void *settings = must_alloc(verb->settings_size + 1);
    struct error *error = run_with(verb, arguments, settings, ret_code);

    options_release(verb->options, settings);
    return error;
}

static void print_overview(void)
{
    _cleanup_free_ char *text = help_overview();
    fputs(text, stdout);
}

static struct error *run_command(char **arguments, int *ret_code)
{
    struct global_settings settings = {0};
    const struct verb *verb;
    char **rest;
    bool help;

    TRY(options_parse(global_options, arguments, true, &settings, &rest, &help));
    *ret_code = 0;
    if (help || (*rest && !strcmp(*rest, "help") && !rest[1])) {
        print_overview();
        return NULL;
    }
    if (settings.version)
        return run_verb(&verb_version, (char *[]){NULL}, ret_code);
    if (!*rest)
        return error_new(ERROR_INVALID_ARGUMENT, "what to do? caisson --help lists the commands");
    if (!strcmp(*rest, "help")) { /* help VERB */
        TRY(find_verb(rest[1], &verb));
        return run_verb(verb, (char *[]){(char[]){"--help"}, NULL}, ret_code);
    }
    TRY(find_verb(*rest, &verb));
    return run_verb(verb, rest + 1, ret_code);
}

/* A file opened later must not become our standard output by accident. */
static void open_missing_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            abort();
}

int main(int argc, char **argv)
{
    int code = EXIT_RUNTIME_FAILED;

    open_missing_streams();
    _cleanup_error_ struct error *error = run_command(argv + (argc > 0), &code);
    if (error) {
        complain(error);
        return EXIT_RUNTIME_FAILED;
    }
    if (fflush(stdout) != 0 && code == 0) {
        _cleanup_error_ struct error *failure = error_errno(errno, "cannot write the output");
        complain(failure);
        return EXIT_RUNTIME_FAILED;
    }
    return code;
}
