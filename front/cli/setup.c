/* SPDX-License-Identifier: Apache-2.0 */
/* caisson setup containerd */
#include "cli/setup.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/process.h"
#include "base/strv.h"
#include "cli/verb.h"
#include "client/directories.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CONTAINERD_CONFIG "/etc/containerd/config.toml"
#define BACKUP_SUFFIX ".before-caisson"
#define TRIAL_SUFFIX ".caisson-trial"
#define DUMP_MAX (4u << 20)

struct setup_settings {
    const char *config;
    const char *directory;
    bool undo;
    bool dry_run;
    bool yes;
};

static const struct setup_settings defaults = {.config = CONTAINERD_CONFIG, .directory = "/usr/local/bin"};

static const struct option setup_options[] = {
    OPTION(setup_settings, "config", 'c', OPTION_TEXT, config, "FILE",
        "containerd's configuration (" CONTAINERD_CONFIG ")"),
    OPTION(
        setup_settings, "bin", 0, OPTION_TEXT, directory, "DIR", "where to link the shims (/usr/local/bin)"),
    OPTION(setup_settings, "dry-run", 'n', OPTION_FLAG, dry_run, NULL, "show what would be done, do nothing"),
    OPTION(setup_settings, "undo", 0, OPTION_FLAG, undo, NULL, "take back what was done"),
    OPTION(setup_settings, "yes", 'y', OPTION_FLAG, yes, NULL, "do not ask"),
    OPTIONS_END,
};

/* Without another program as containerd-shim-kata-v2, its names are ours too. */
static const char *const all_handlers[] = {"caisson", "kata", "kata-qemu", NULL};
static const char *const own_handlers[] = {"caisson", NULL};

/* ---- one change ---- */

static struct error *write_like(const char *path, const char *like, const char *text)
{
    struct stat status = {.st_mode = 0644};
    if (stat(like, &status) < 0 && errno != ENOENT)
        return error_errno(errno, "%s", like);
    return file_replace(AT_FDCWD, path, text, strlen(text), status.st_mode & 07777);
}

/* containerd's own opinion of the new text, where it is installed. The trial stands beside the file, so that
   relative imports mean the same. */
static struct error *try_out(const struct setup_change *change)
{
    _cleanup_free_ char *trial = must_printf("%s" TRIAL_SUFFIX, change->path);
    char *arguments[] = {
        (char[]){"containerd"}, (char[]){"--config"}, trial, (char[]){"config"}, (char[]){"dump"}, NULL};
    const struct process_options options = {.arguments = arguments};
    _cleanup_free_ char *output = NULL;
    TRY(write_like(trial, change->path, change->after));
    struct error *error = process_run_checked(&options, DUMP_MAX, &output);
    unlink(trial);
    if (error_code(error) == ERROR_NOT_FOUND) {
        error_free(error);
        return NULL;
    }
    return error_wrap(error, "containerd does not accept the new %s, and nothing was changed", change->path);
}

/* What is there from an earlier time is older and stays. */
static struct error *keep_backup(const struct setup_change *change)
{
    _cleanup_free_ char *backup = must_printf("%s" BACKUP_SUFFIX, change->path);
    if (!change->before || access(backup, F_OK) == 0)
        return NULL;
    return write_like(backup, change->path, change->before);
}

static struct error *drop_backup(const struct setup_change *change)
{
    _cleanup_free_ char *backup = must_printf("%s" BACKUP_SUFFIX, change->path);
    _cleanup_free_ char *text = NULL;
    _cleanup_error_ struct error *missing = file_read(AT_FDCWD, backup, DUMP_MAX, &text, NULL);
    if (missing)
        return NULL;
    if (change->after && strcmp(text, change->after) == 0) {
        if (unlink(backup) < 0)
            return error_errno(errno, "removing %s", backup);
        return NULL;
    }
    printf("%s has been changed since; %s, as it was before, is kept\n", change->path, backup);
    return NULL;
}

static struct error *make_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *directory = must_copy_length(path, slash ? (size_t)(slash - path) : 0);
    return *directory ? directory_create_all(directory, 0755) : NULL;
}

static struct error *apply_change(const struct setup_change *change, bool undo)
{
    if (!change->after) {
        if (unlink(change->path) < 0)
            return error_errno(errno, "removing %s", change->path);
        return NULL;
    }
    TRY(make_directory_of(change->path));
    if (!undo)
        TRY(keep_backup(change));
    TRY(write_like(change->path, change->path, change->after));
    return undo ? drop_backup(change) : NULL;
}

/* ---- all of them ---- */

static void show(const struct setup_plan *plan, char *const *link_notes)
{
    STRV_FOREACH (note, plan->notes)
        printf("%s\n", *note);
    STRV_FOREACH (note, link_notes)
        printf("%s\n", *note);
    for (size_t i = 0; i < plan->change_count; i++) {
        const struct setup_change *change = &plan->changes[i];
        _cleanup_free_ char *diff = setup_diff(change->path, change->before, change->after);
        fputs(diff, stdout);
    }
    fflush(stdout);
}

static struct error *ask(const struct setup_settings *settings, bool *ret_go)
{
    char answer[16] = "";
    *ret_go = settings->yes;
    if (settings->yes)
        return NULL;
    if (!isatty(STDIN_FILENO))
        return error_new(ERROR_FAILED_PRECONDITION,
            "setup: nothing was changed, for there is no terminal to ask on; --yes does it");
    printf("Do this? [y/N] ");
    fflush(stdout);
    if (fgets(answer, sizeof(answer), stdin))
        *ret_go = answer[0] == 'y' || answer[0] == 'Y';
    return NULL;
}

static struct error *apply(
    const struct setup_settings *settings, const struct setup_plan *plan, struct setup_links *links)
{
    struct setup_links_result done = {0};
    for (size_t i = 0; i < plan->change_count; i++)
        if (!settings->undo && plan->changes[i].main)
            TRY(try_out(&plan->changes[i]));
    links->dry_run = false;
    struct error *error = setup_links_make(links, &done);
    strv_free(done.notes);
    if (error)
        return error;
    for (size_t i = 0; i < plan->change_count; i++)
        TRY(apply_change(&plan->changes[i], settings->undo));
    if (plan->change_count > 0)
        printf("Done. containerd reads its configuration when it starts: systemctl restart containerd "
               "(running containers go on)\n");
    return NULL;
}

static struct error *find_shim(char **ret_path)
{
    _cleanup_free_ char *shim = NULL;
    TRY(program_shim(&shim));
    return path_resolve(shim, ret_path);
}

static struct error *set_up_with(const struct setup_settings *settings, struct setup_links *links,
    const struct setup_links_result *planned)
{
    _cleanup_setup_plan_ struct setup_plan *plan = NULL;
    bool go = false;
    TRY(setup_plan_make(
        settings->config, planned->kata ? all_handlers : own_handlers, settings->undo, &plan));
    show(plan, planned->notes);
    if (plan->change_count == 0 && planned->actions == 0) {
        printf("There is nothing to do.\n");
        return NULL;
    }
    if (settings->dry_run)
        return NULL;
    TRY(ask(settings, &go));
    struct error *error = go ? apply(settings, plan, links) : NULL;
    if (error_code(error) == ERROR_PERMISSION_DENIED && geteuid() != 0)
        return error_wrap(error, "setup: changing %s needs root", settings->config);
    return error;
}

static struct error *set_up_containerd(const struct setup_settings *settings)
{
    _cleanup_free_ char *shim = NULL;
    struct setup_links_result planned = {0};
    TRY(find_shim(&shim));
    struct setup_links links = {
        .shim = shim, .directory = settings->directory, .undo = settings->undo, .dry_run = true};
    struct error *error = setup_links_make(&links, &planned);
    if (!error)
        error = set_up_with(settings, &links, &planned);
    strv_free(planned.notes);
    return error;
}

static struct error *setup(void *context, char **arguments, int *ret_code)
{
    if (strcmp(arguments[0], "containerd") != 0)
        return error_new(ERROR_INVALID_ARGUMENT, "setup: \"%s\" is not known; containerd is", arguments[0]);
    *ret_code = 0;
    return set_up_containerd(context);
}

const struct verb verb_setup = {
    .name = "setup",
    .arguments = "containerd",
    .summary = "Add the runtimes to containerd's configuration",
    .details = "Shows the change and asks before it is made. --undo gives back the file as it was.",
    .example = "caisson setup containerd --dry-run\n"
               "sudo caisson setup containerd\n"
               "sudo caisson setup containerd --undo",
    .options = setup_options,
    .settings_size = sizeof(struct setup_settings),
    .defaults = &defaults,
    .minimum = 1,
    .maximum = 1,
    .run = setup,
};
