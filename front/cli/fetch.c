/* SPDX-License-Identifier: Apache-2.0 */
/* pull and load: images come in. */
#include "cli/progress.h"
#include "cli/verb.h"
#include "client/directories.h"
#include "client/signals.h"
#include "image/image.h"

#include <stdio.h>

/* What both need while they work. */
struct fetch {
    struct directories *directories;
    struct image_store *store;
    struct signals *signals;
    struct progress progress;
    struct image_observer observer;
};

static void fetch_close(struct fetch *fetch)
{
    progress_end(&fetch->progress);
    signals_free(fetch->signals);
    image_store_free(fetch->store);
    directories_free(fetch->directories);
}

#define _cleanup_fetch_ __attribute__((cleanup(fetch_close)))

static struct error *fetch_open(bool quiet, struct fetch *fetch)
{
    TRY(signals_new(&fetch->signals));
    TRY(directories_open(&fetch->directories));
    TRY(image_store_open(fetch->directories->data, &fetch->store));
    error_free(image_sweep(fetch->store)); /* what a killed command left is no reason not to go on */
    progress_begin(&fetch->progress, quiet);
    fetch->observer = progress_observer(&fetch->progress);
    return NULL;
}

/* A signal's end is no error but its exit code. */
static struct error *fetched(struct fetch *fetch, struct error *error, int *ret_code)
{
    int signal = signals_pending_end();

    progress_end(&fetch->progress);
    *ret_code = error && signal ? EXIT_SIGNALLED + signal : 0;
    if (!error || !signal)
        return error;
    error_free(error);
    return NULL;
}

/* ---- pull ---- */

struct pull_settings {
    bool quiet;
    const char *authfile;
    const char *credentials;
    const char *tls_verify;
};

static const struct option pull_options[] = {
    OPTION(pull_settings, "authfile", 0, OPTION_TEXT, authfile, "FILE", "registry log-ins, as of skopeo"),
    OPTION(pull_settings, "creds", 0, OPTION_TEXT, credentials, "USER[:PASSWORD]", "of the registry"),
    OPTION(pull_settings, "quiet", 'q', OPTION_FLAG, quiet, NULL, "print the digest only"),
    OPTION(pull_settings, "tls-verify", 0, OPTION_TEXT, tls_verify, "true|false", "check the certificate"),
    OPTIONS_END,
};

static struct error *pull(void *context, char **arguments, int *ret_code)
{
    const struct pull_settings *settings = context;
    const struct image_pull_options options = {.authfile = settings->authfile,
        .credentials = settings->credentials,
        .tls_verify = settings->tls_verify};
    _cleanup_fetch_ struct fetch fetch = {0};
    _cleanup_image_ struct image *image = NULL;

    TRY(fetch_open(settings->quiet, &fetch));
    struct error *error = image_pull(fetch.store, arguments[0], &options, &fetch.observer, &image);
    TRY(fetched(&fetch, error, ret_code));
    if (image)
        puts(image->digest);
    return NULL;
}

const struct verb verb_pull = {
    .name = "pull",
    .arguments = "REFERENCE",
    .summary = "Fetch an image from a registry",
    .details = "The transfer is skopeo's, with its policy and its log-ins.",
    .example = "caisson pull debian:12",
    .options = pull_options,
    .settings_size = sizeof(struct pull_settings),
    .minimum = 1,
    .maximum = 1,
    .run = pull,
};

/* ---- load ---- */

struct load_settings {
    bool quiet;
    const char *input;
    const char *name;
};

static const struct option load_options[] = {
    OPTION(load_settings, "input", 'i', OPTION_TEXT, input, "SOURCE", "archive, layout or directory"),
    OPTION(load_settings, "name", 'n', OPTION_TEXT, name, "NAME", "name of the image"),
    OPTION(load_settings, "tag", 't', OPTION_TEXT, name, "NAME", NULL),
    OPTION(load_settings, "quiet", 'q', OPTION_FLAG, quiet, NULL, "no progress"),
    OPTIONS_END,
};

static struct error *find_source(
    const struct load_settings *settings, char *const *arguments, const char **ret_source)
{
    const char *source = settings->input ?: arguments[0];

    if (settings->input && arguments[0])
        return error_new(ERROR_INVALID_ARGUMENT, "load takes one source, as its argument or with -i");
    if (!source && isatty(STDIN_FILENO))
        return error_new(
            ERROR_INVALID_ARGUMENT, "load what? caisson load -i FILE, or an archive on standard input");
    *ret_source = source ?: "-";
    return NULL;
}

static void print_loaded(const struct image *image)
{
    if (!image->names)
        printf("Loaded image: %s\n", image->digest);
    for (char **name = image->names; name && *name; name++)
        printf("Loaded image: %s\n", *name);
}

static struct error *load(void *context, char **arguments, int *ret_code)
{
    const struct load_settings *settings = context;
    _cleanup_fetch_ struct fetch fetch = {0};
    _cleanup_image_ struct image *image = NULL;
    struct image_source source;
    const char *text;

    TRY(find_source(settings, arguments, &text));
    TRY(fetch_open(settings->quiet, &fetch));
    TRY(image_source_parse(text, &source));
    struct error *error = image_load(fetch.store, &source, settings->name, &fetch.observer, &image);
    image_source_clear(&source);
    TRY(fetched(&fetch, error, ret_code));
    if (image)
        print_loaded(image);
    return NULL;
}

const struct verb verb_load = {
    .name = "load",
    .arguments = "[SOURCE]",
    .summary = "Load an image from an archive, a layout or a directory",
    .details = "SOURCE is a file, a directory, - for standard input, or begins with oci:, oci-archive:,\n"
               "docker-archive:, dir: or tar:.",
    .example = "caisson load --name base:1 -i base.tar",
    .options = load_options,
    .settings_size = sizeof(struct load_settings),
    .maximum = 1,
    .run = load,
};
