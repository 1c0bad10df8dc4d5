/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/compare.h"

#include "base/fd.h"
#include "base/strv.h"
#include "cli/capability.h"
#include "cli/seccomp.h"
#include "cli/verb.h"
#include "client/directories.h"
#include "compare/guard.h"
#include "compare/lab.h"
#include "compare/report.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A quick report is ready in three minutes, also where something hangs in its last moments: 145 s and what
   has then begun, which is stopped after 30 s. It does what fits into that. */
#define ROUNDS_QUICK 30
#define BUDGET_QUICK_MILLISECONDS 145000
#define LIMIT_QUICK_MILLISECONDS 30000
#define LIMIT_FULL_MILLISECONDS 60000
#define ROUNDS_FULL 30
#define ROUNDS_MAX 10000
#define FILE_BYTES_QUICK (16u << 20)
#define FILE_BYTES_FULL (128u << 20)
#define REPORT_LIMIT (64u << 20)
#define INTERRUPTED_CODE 130
#define DENSITY_QUICK 20
#define DENSITY_FULL 200
#define CONTAINERS_MAX 10000
#define NOT_GIVEN (-1)
#define CONTAINERD_ADDRESS "/run/containerd/containerd.sock"

struct compare_settings {
    const char *app;
    const char *containerd_address;
    const char *via;
    const char *only;
    const char *runtimes;
    const char *output;
    const char *evidence;
    int64_t rounds;
    int64_t containers;
    bool density;
    bool unlike;
    bool full;
    bool diff;
    bool quiet;
};

#define COMPARE(...) OPTION(compare_settings, __VA_ARGS__)

static const struct option compare_options[] = {
    COMPARE("app", 0, OPTION_TEXT, app, "IMAGE",
        "also start a web application and ask it: an image archive, layout or directory"),
    COMPARE("containerd-address", 0, OPTION_TEXT, containerd_address, "SOCKET",
        "with --via containerd: where it listens (default: " CONTAINERD_ADDRESS ")"),
    COMPARE("containers", 0, OPTION_NUMBER, containers, "N",
        "with --density: so many at once at most (default: 20, with --full 200)"),
    COMPARE("density", 0, OPTION_FLAG, density, NULL, "also how many idle containers fit"),
    COMPARE("diff", 0, OPTION_FLAG, diff, NULL,
        "say what changed beyond noise from the report OLD.json to NEW.json"),
    COMPARE(
        "evidence", 0, OPTION_TEXT, evidence, "DIR", "also write each piece of evidence to a file below DIR"),
    COMPARE("full", 0, OPTION_FLAG, full, NULL, "30 rounds of everything, bigger files: an hour or two"),
    COMPARE("only", 0, OPTION_TEXT, only, "LIST",
        "only some of isolation, startup, syscalls, cpu, files, network, memory, density"),
    COMPARE("output", 'o', OPTION_TEXT, output, "DIR", "where the report goes (default: caisson-compare)"),
    COMPARE("quiet", 'q', OPTION_FLAG, quiet, NULL, "no progress"),
    COMPARE("rounds", 0, OPTION_NUMBER, rounds, "N",
        "how often a start is measured (default: what fits into 145 s, with --full 30)"),
    COMPARE("runtimes", 0, OPTION_TEXT, runtimes, "LIST",
        "only some of host, runc, crun, runsc, kata, caisson, or paths of OCI runtimes"),
    COMPARE("unlike", 0, OPTION_FLAG, unlike, NULL,
        "with --diff: also where the two were not measured alike, which is said"),
    COMPARE("via", 0, OPTION_TEXT, via, "WHAT",
        "what starts the containers: direct (default: the runtimes themselves) or containerd"),
    OPTIONS_END,
};

/* ---- what is asked for ---- */

static struct error *choose_parts(const char *list, struct session_options *session)
{
    _cleanup_strv_ char **names = list ? strv_split(list, ',') : NULL;
    for (enum metric_group group = 0; !list && group < GROUP_COUNT; group++)
        session->groups[group] = group != GROUP_DENSITY;
    session->evidence = !list;
    STRV_FOREACH (name, names) {
        enum metric_group group = group_by_id(*name);
        if (!strcmp(*name, "isolation"))
            session->evidence = true;
        else if (group != GROUP_COUNT)
            session->groups[group] = true;
        else
            return error_new(ERROR_INVALID_ARGUMENT,
                "--only: \"%s\" is none of isolation, startup, syscalls, cpu, files, network, memory and "
                "density",
                *name);
    }
    return NULL;
}

/* NULL: the runtimes themselves. */
static struct error *choose_way(const struct compare_settings *settings, const char **ret_containerd)
{
    bool is_direct = !settings->via || !strcmp(settings->via, "direct");
    if (!is_direct && strcmp(settings->via, "containerd") != 0)
        return error_new(ERROR_INVALID_ARGUMENT, "--via %s: there are direct and containerd", settings->via);
    if (is_direct && settings->containerd_address)
        return error_new(ERROR_INVALID_ARGUMENT, "--containerd-address is for --via containerd");
    *ret_containerd = is_direct ? NULL : settings->containerd_address ?: CONTAINERD_ADDRESS;
    return NULL;
}

static struct error *choose_numbers(const struct compare_settings *settings, struct session_options *session)
{
    bool has_density = settings->density || session->groups[GROUP_DENSITY];
    if (settings->rounds != NOT_GIVEN && (settings->rounds < 1 || settings->rounds > ROUNDS_MAX))
        return error_new(ERROR_INVALID_ARGUMENT, "--rounds is from 1 to %d", ROUNDS_MAX);
    if (settings->containers != NOT_GIVEN &&
        (settings->containers < 2 || settings->containers > CONTAINERS_MAX))
        return error_new(ERROR_INVALID_ARGUMENT, "--containers is from 2 to %d", CONTAINERS_MAX);
    if (settings->containers != NOT_GIVEN && !has_density)
        return error_new(ERROR_INVALID_ARGUMENT, "--containers is for --density");
    if (settings->rounds != NOT_GIVEN)
        session->rounds = (unsigned)settings->rounds;
    if (has_density)
        session->density = settings->containers != NOT_GIVEN ? (unsigned)settings->containers
                           : settings->full                  ? DENSITY_FULL
                                                             : DENSITY_QUICK;
    return NULL;
}

static struct error *choose_session(const struct compare_settings *settings, struct session_options *session)
{
    bool is_bounded = !settings->full && settings->rounds == NOT_GIVEN;
    *session = (struct session_options){.rounds = settings->full ? ROUNDS_FULL : ROUNDS_QUICK,
        .budget_milliseconds = is_bounded ? BUDGET_QUICK_MILLISECONDS : 0,
        .limit_milliseconds = is_bounded ? LIMIT_QUICK_MILLISECONDS : LIMIT_FULL_MILLISECONDS,
        .file_bytes = settings->full ? FILE_BYTES_FULL : FILE_BYTES_QUICK,
        .seconds = settings->full ? 3 : 1};
    TRY(choose_parts(settings->only, session));
    return choose_numbers(settings, session);
}

static struct error *choose_runtimes(const char *list, char ***ret_runtimes)
{
    _cleanup_strv_ char **names = list ? strv_split(list, ',') : NULL;
    STRV_FOREACH (name, names)
        if (!**name)
            return error_new(ERROR_INVALID_ARGUMENT, "--runtimes \"%s\" has an empty name in it", list);
    *ret_runtimes = TAKE_PTR(names);
    return NULL;
}

static struct error *find_probe(const char *self, char **ret_path)
{
    const char *given = getenv("CAISSON_PROBE");
    const char *slash = strrchr(self, '/');
    *ret_path =
        given ? must_copy(given) : must_printf("%.*s/../lib/caisson/probe", (int)(slash - self), self);
    if (access(*ret_path, X_OK) == 0)
        return NULL;
    struct error *error = error_errno(
        errno, "the probe %s cannot be run; install Caisson as a whole, or set CAISSON_PROBE", *ret_path);
    free(TAKE_PTR(*ret_path));
    return error;
}

/* ---- progress ---- */

struct teller {
    bool terminal;
    bool quiet;
    time_t begun;
    int told; /* the last tenth */
};

/* How long it may still take, as far as what was done tells. */
static char *time_left(const struct teller *teller, double done)
{
    double passed = difftime(time(NULL), teller->begun);
    if (done < 0.05 || passed < 3)
        return must_copy("");
    unsigned left = (unsigned)(passed * (1 - done) / done);
    return must_printf(", %u:%02u left", left / 60, left % 60);
}

static void tell(void *context, const char *subject, const char *doing, double done)
{
    struct teller *teller = context;
    int tenth = (int)(done * 10);
    if (teller->quiet || (!teller->terminal && tenth == teller->told))
        return;
    teller->told = tenth;
    _cleanup_free_ char *left = time_left(teller, done);
    fprintf(stderr, "%s%3.0f%%%s  %s %s%s", teller->terminal ? "\r\033[K" : "", done * 100, left, subject,
        doing, teller->terminal ? "" : "\n");
    fflush(stderr);
}

static void tell_end(const struct teller *teller)
{
    if (teller->terminal && !teller->quiet)
        fputs("\r\033[K", stderr);
}

/* ---- the report's files ---- */

/* Before anything is measured, so that minutes are not lost for want of a directory. */
static struct error *prepare_output(const char *directory)
{
    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        return error_errno(errno, "making the directory %s for the report", directory);
    _cleanup_free_ char *path = must_printf("%s/compare.json", directory);
    _cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    return fd < 0 ? error_errno(errno, "the report cannot be written to %s", path) : NULL;
}

static struct error *write_file(const char *directory, const char *name, const char *text)
{
    _cleanup_free_ char *path = must_printf("%s/%s", directory, name);
    return file_replace(AT_FDCWD, path, text, strlen(text), 0644);
}

static struct error *write_report(const struct results *results, const char *directory)
{
    _cleanup_page_ struct page page = {0};
    report_write(results, &page);
    _cleanup_free_ char *json = results_write(results), *markdown = page_markdown(&page),
                        *html = page_html(&page);
    TRY(write_file(directory, "compare.json", json));
    TRY(write_file(directory, "compare.md", markdown));
    return write_file(directory, "compare.html", html);
}

/* ---- the verb ---- */

/* The line that makes this report again. */
static char *own_command(const struct compare_settings *settings)
{
    _cleanup_strv_ char **words = NULL;
    strv_append(&words, "caisson compare");
    if (settings->full)
        strv_append(&words, "--full");
    if (settings->only)
        strv_append_printf(&words, "--only %s", settings->only);
    if (settings->density)
        strv_append(&words, "--density");
    if (settings->containers != NOT_GIVEN)
        strv_append_printf(&words, "--containers %lld", (long long)settings->containers);
    if (settings->via)
        strv_append_printf(&words, "--via %s", settings->via);
    if (settings->app)
        strv_append_printf(&words, "--app %s", settings->app);
    if (settings->runtimes)
        strv_append_printf(&words, "--runtimes %s", settings->runtimes);
    if (settings->rounds != NOT_GIVEN)
        strv_append_printf(&words, "--rounds %lld", (long long)settings->rounds);
    return strv_join(words, " ");
}

/* What was asked for, all of it checked before anything is done. The strings are the settings' and the
 * caller's. */
static struct error *choose(const struct compare_settings *settings, struct compare_options *options)
{
    if (settings->unlike)
        return error_new(ERROR_INVALID_ARGUMENT, "--unlike is for --diff");
    TRY(choose_way(settings, &options->containerd));
    TRY(choose_session(settings, &options->session));
    TRY(choose_runtimes(settings->runtimes, &options->runtimes));
    TRY(prepare_output(settings->output));
    return settings->evidence ? lab_prepare(settings->evidence) : NULL;
}

static struct error *measure(
    const struct compare_settings *settings, struct compare_options *options, struct results **ret_results)
{
    struct teller teller = {
        .terminal = isatty(STDERR_FILENO), .quiet = settings->quiet, .begun = time(NULL), .told = -1};
    _cleanup_strv_ char **capabilities = NULL;
    _cleanup_free_ char *self = NULL, *probe = NULL;
    TRY(program_self(&self));
    TRY(find_probe(self, &probe));
    TRY(capabilities_choose(NULL, NULL, false, &capabilities));
    _cleanup_json_ json_t *seccomp = seccomp_default(capabilities);
    options->probe = probe;
    options->caisson = self;
    options->app = settings->app;
    options->seccomp = seccomp;
    options->capabilities = capabilities;
    options->progress = tell;
    options->context = &teller;
    struct error *error = compare(options, ret_results);
    tell_end(&teller);
    TRY(error);
    (*ret_results)->command = own_command(settings);
    (*ret_results)->version = must_copy(CAISSON_VERSION);
    return NULL;
}

static struct error *read_report(const char *path, struct results **ret_results)
{
    _cleanup_free_ char *text = NULL;
    size_t length;
    TRY(file_read(AT_FDCWD, path, REPORT_LIMIT, &text, &length));
    return results_read(path, text, length, ret_results);
}

static struct error *show_difference(char **arguments, bool unlike)
{
    _cleanup_results_ struct results *before = NULL, *after = NULL;
    _cleanup_page_ struct page page = {0};
    if (strv_length(arguments) != 2)
        return error_new(
            ERROR_INVALID_ARGUMENT, "--diff takes two reports: caisson compare --diff OLD.json NEW.json");
    TRY(read_report(arguments[0], &before));
    TRY(read_report(arguments[1], &after));
    _cleanup_free_ char *difference = report_unlike(before, after);
    if (difference && !unlike)
        return error_new(ERROR_FAILED_PRECONDITION,
            "the two reports were not made alike: %s; --diff --unlike compares them all the same",
            difference);
    report_difference(before, after, &page);
    _cleanup_free_ char *text = page_markdown(&page);
    fputs(text, stdout);
    return NULL;
}

/* The figures are said first: they are not lost where the report cannot be written. */
static struct error *tell_results(const struct compare_settings *settings, const struct results *results)
{
    _cleanup_free_ char *summary = report_summary(results);
    printf("%s\n\n", summary);
    fflush(stdout);
    TRY(write_report(results, settings->output));
    if (settings->evidence)
        TRY(lab_write(results, settings->evidence));
    printf("%sThe report: %s/compare.html, compare.md, compare.json\n",
        results->interrupted ? "Interrupted: what was measured is kept. " : "", settings->output);
    return NULL;
}

static struct error *measure_and_tell(
    const struct compare_settings *settings, struct compare_options *options, int *ret_code)
{
    _cleanup_results_ struct results *results = NULL;
    bool is_guard;
    TRY(choose(settings, options));
    TRY(guard_split(compare_place(), options->containerd, &is_guard, ret_code));
    if (is_guard)
        return NULL;
    TRY(measure(settings, options, &results));
    TRY(tell_results(settings, results));
    *ret_code = results->interrupted ? INTERRUPTED_CODE : 0;
    return NULL;
}

static struct error *run_compare(void *context, char **arguments, int *ret_code)
{
    const struct compare_settings *settings = context;
    struct compare_options options = {0};
    *ret_code = 0;
    if (settings->diff)
        return show_difference(arguments, settings->unlike);
    if (*arguments)
        return error_new(
            ERROR_INVALID_ARGUMENT, "%s: runtimes are named with --runtimes %s", *arguments, *arguments);
    struct error *error = measure_and_tell(settings, &options, ret_code);
    strv_free(options.runtimes);
    return error;
}

static const struct compare_settings compare_defaults = {
    .output = "caisson-compare", .rounds = NOT_GIVEN, .containers = NOT_GIVEN};

const struct verb verb_compare = {
    .name = "compare",
    .arguments = "[OLD.json NEW.json]",
    .summary = "Measure container runtimes side by side",
    .details = "Runs the same program under every runtime of this machine, looks at what each isolates, "
               "measures what "
               "each costs, and writes a report (Markdown, HTML, JSON).",
    .example = "caisson compare --only startup,isolation --runtimes runc,caisson",
    .options = compare_options,
    .settings_size = sizeof(struct compare_settings),
    .defaults = &compare_defaults,
    .maximum = 2,
    .run = run_compare,
};
