/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"
#include "cli/run.h"

#include <string.h>

static struct error *check_platform(const char *platform)
{
    if (!platform || !strcmp(platform, "linux/amd64") || !strcmp(platform, "linux/x86_64") ||
        !strcmp(platform, "linux"))
        return NULL;
    return error_new(ERROR_INVALID_ARGUMENT,
        "--platform %s: the virtual machine has this machine's processor, linux/amd64", platform);
}

static struct error *check_pull(const char *pull)
{
    if (!strcmp(pull, "never") || !strcmp(pull, "missing") || !strcmp(pull, "always"))
        return NULL;
    return error_new(ERROR_INVALID_ARGUMENT, "--pull is never, missing or always, not \"%s\"", pull);
}

static struct error *load_source(struct run *run, const struct image_observer *observer)
{
    struct image_source source;

    TRY(image_source_parse(run->image_name, &source));
    struct error *error = image_load(run->store, &source, NULL, observer, &run->image);
    image_source_clear(&source);
    return error;
}

static struct error *pull(struct run *run, const struct image_observer *observer)
{
    struct error *error = image_pull(run->store, run->image_name, NULL, observer, &run->image);
    return error_wrap(error, "cannot get the image %s", run->image_name);
}

static struct error *find(struct run *run, const struct image_observer *observer)
{
    const char *policy = run->settings->pull;

    if (image_source_has_prefix(run->image_name))
        return load_source(run, observer);
    if (!strcmp(policy, "always"))
        return pull(run, observer);
    struct error *error = image_resolve(run->store, run->image_name, &run->image);
    if (error_code(error) != ERROR_NOT_FOUND || !strcmp(policy, "never"))
        return error;
    error_free(error);
    return pull(run, observer);
}

struct error *run_find_image(struct run *run)
{
    struct progress progress;

    TRY(check_platform(run->settings->platform));
    TRY(check_pull(run->settings->pull));
    TRY(image_store_open(run->directories->data, &run->store));
    progress_begin(&progress, run->settings->quiet);
    const struct image_observer observer = progress_observer(&progress);
    struct error *error = find(run, &observer);
    progress_end(&progress);
    return error;
}
