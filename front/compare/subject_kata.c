/* SPDX-License-Identifier: Apache-2.0 */
/* Kata Containers, which runs under containerd only: here it has a version and a reason. */
#include "compare/subject.h"

#include <string.h>

#define VERSION_LIMIT 10000

static struct error *version(struct subject *subject, char **ret_version)
{
    char *const arguments[] = {subject->program, (char[]){"--version"}, NULL};
    struct launched launched = {0};
    TRY(launch_checked(subject->workplace->launcher, arguments, VERSION_LIMIT, &launched));
    *ret_version = must_copy_length(launched.output, strcspn(launched.output, "\n"));
    launched_clear(&launched);
    return NULL;
}

const struct subject_ops subject_kata = {.version = version};
