/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/compare.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"
#include "cli/capability.h"
#include "cli/seccomp.h"
#include "cli/verb.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct compare_settings {
    const char *output;
    int64_t rounds;
};

static const struct option compare_options[] = {
    OPTION(compare_settings, "output", 'o', OPTION_TEXT, output, "DIR", "x"),
    OPTION(compare_settings, "rounds", 0, OPTION_NUMBER, rounds, "N", "x"),
    OPTIONS_END,
};

static struct error *run_compare(void *context, char **arguments, int *ret_code)
{
    const struct compare_settings *settings = context;
    _cleanup_results_ struct results *results = NULL;
    _cleanup_strv_ char **capabilities = NULL;
    TRY(capabilities_choose(NULL, NULL, false, &capabilities));
    _cleanup_json_ json_t *seccomp = seccomp_default(capabilities);
    struct compare_options options = {.probe = getenv("CAISSON_PROBE"), .caisson = "/work/caisson", .runtimes = *arguments ? arguments : NULL, .seccomp = seccomp, .capabilities = capabilities, .session = {.rounds = (unsigned)settings->rounds, .evidence = true, .file_bytes = 16 << 20}};
    memset(options.session.groups, 1, sizeof(options.session.groups));
    options.caisson = getenv("CAISSON_SELF");
    TRY(compare(&options, &results));
    _cleanup_free_ char *text = results_write(results);
    puts(text);
    *ret_code = 0;
    return NULL;
}

const struct verb verb_compare = {.name = "compare", .options = compare_options, .settings_size = sizeof(struct compare_settings), .maximum = 100, .run = run_compare, .summary = "x", .example = "x"};
