/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/subject.h"

#include "base/path.h"
#include "base/strv.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK_LIMIT 30000
#define FIRST_LIMIT 20000

struct candidate {
    const char *family; /* what the user may say for all of them */
    const char *program;
    const char *variant;
    const struct subject_ops *ops;
    bool own_kernel;
    bool hardware; /* needs KVM */
    const char *description;
};

static const struct candidate candidates[] = {
    {"host", NULL, NULL, &subject_host, false, false, "nothing: the program runs on the host itself"},
    {"runc", "runc", NULL, &subject_oci, false, false,
        "namespaces, capabilities and a seccomp filter in front of the host's own kernel"},
    {"crun", "crun", NULL, &subject_oci, false, false,
        "namespaces, capabilities and a seccomp filter in front of the host's own kernel"},
    {"runsc", "runsc", "systrap", &subject_oci, true, false,
        "a second kernel in user space (gVisor), which system calls reach by a seccomp trap"},
    {"runsc", "runsc", "ptrace", &subject_oci, true, false,
        "a second kernel in user space (gVisor), which system calls reach by ptrace"},
    {"runsc", "runsc", "kvm", &subject_oci, true, true,
        "a second kernel in user space (gVisor), which system calls reach through KVM"},
    {"kata", "kata-runtime", NULL, &subject_kata, true, true,
        "a virtual machine with a Linux kernel of its own (Kata Containers)"},
    {"caisson", "", "qemu-kvm", &subject_caisson, true, true,
        "a virtual machine with a Linux kernel of its own, on the processor's virtualization, and the "
        "confinement "
        "of runc inside it"},
    {"caisson", "", "qemu-tcg", &subject_caisson, true, false,
        "a virtual machine with a Linux kernel of its own, emulated in software, and the confinement of runc "
        "inside "
        "it"},
};

/* The same through containerd. Programs are names of runtimes there; whether it has them shows when one is
 * run. */
static const struct candidate via_containerd[] = {
    {"host", NULL, NULL, &subject_host, false, false, "nothing: the program runs on the host itself"},
    {"runc", "io.containerd.runc.v2", NULL, &subject_containerd, false, false,
        "namespaces, capabilities and a seccomp filter in front of the host's own kernel"},
    {"runsc", "io.containerd.runsc.v1", NULL, &subject_containerd, true, false,
        "a second kernel in user space (gVisor), on the platform that its shim is configured for"},
    {"caisson", "io.containerd.caisson.v2", NULL, &subject_containerd, true, false,
        "a virtual machine with a Linux kernel of its own, and the confinement of runc inside it"},
    {"kata", "io.containerd.kata.v2", NULL, &subject_containerd, true, true,
        "a virtual machine with a Linux kernel of its own (Kata Containers)"},
};

static const struct candidate by_path = {
    "", NULL, NULL, &subject_oci, false, false, "what this OCI runtime does, given by its path"};

/* ---- what this machine has ---- */

/* In PATH; NULL where it is not. */
static char *find_program(const char *name)
{
    _cleanup_strv_ char **directories = strv_split(getenv("PATH") ?: "/usr/sbin:/usr/bin:/sbin:/bin", ':');
    STRV_FOREACH (directory, directories) {
        char *path = must_printf("%s/%s", *directory, name);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

/* Why KVM cannot be used here, in the words of `caisson check`; NULL where it can. */
static char *kvm_refusal(const struct workplace *workplace)
{
    char *const arguments[] = {
        (char *)(uintptr_t)workplace->caisson, (char[]){"check"}, (char[]){"--json"}, NULL};
    struct launched launched = {0};
    _cleanup_json_ json_t *report = NULL;
    const char *reason = "`caisson check` says nothing of KVM";
    json_t *row;
    size_t index;
    struct error *error = launch(workplace->launcher, arguments, CHECK_LIMIT, &launched);
    if (!error)
        error = json_read("caisson check", launched.output, strlen(launched.output), &report);
    char *refusal = NULL;
    json_array_foreach (report, index, row) {
        const char *name = json_string_value(json_object_get(row, "name"));
        if (!name || !strstr(name, "kvm"))
            continue;
        reason = json_is_true(json_object_get(row, "usable"))
                     ? NULL
                     : json_string_value(json_object_get(row, "reason"));
        break;
    }
    refusal = must_copy_or_null(reason);
    error_free(error);
    launched_clear(&launched);
    return refusal;
}

/* Caisson takes the place of Kata under its name as well; that is not two runtimes. */
static bool is_own_shim(const char *name)
{
    _cleanup_free_ char *path = find_program(name);
    _cleanup_free_ char *real = path ? realpath(path, NULL) : NULL;
    return real && strstr(strrchr(real, '/'), "caisson") != NULL;
}

/* ---- one subject ---- */

static char *subject_name(const struct candidate *candidate, const char *program)
{
    const char *slash = program ? strrchr(program, '/') : NULL;
    if (!*candidate->family)
        return must_copy(slash ? slash + 1 : program);
    return candidate->variant ? must_printf("%s-%s", candidate->family, candidate->variant)
                              : must_copy(candidate->family);
}

static struct error *try_first(struct subject *subject)
{
    _cleanup_free_ char *id = must_printf("compare-%d-%s-first", (int)getpid(), subject->result->name);
    char *const command[] = {(char[]){"true"}, NULL};
    const struct purpose purpose = {.command = command};
    struct launched launched = {0};
    _cleanup_strv_ char **arguments = NULL;
    TRY(subject->ops->version(subject, &subject->result->version));
    if (subject->ops->prepare)
        TRY(subject->ops->prepare(subject));
    TRY(subject->ops->run(subject, id, &purpose, &arguments));
    struct error *error = launch_checked(subject->workplace->launcher, arguments, FIRST_LIMIT, &launched);
    launched_clear(&launched);
    if (error)
        subject->ops->end(subject, id);
    return error;
}

static struct subject *subject_new(const struct workplace *workplace, const struct candidate *candidate,
    const char *program, struct results *results)
{
    _cleanup_free_ char *name = subject_name(candidate, program);
    struct subject_result *result = results_find(results, name) ? NULL : results_add(results, name);
    if (!result)
        return NULL;
    result->description = must_copy(candidate->description);
    result->own_kernel = candidate->own_kernel;
    result->hardware = candidate->hardware;
    struct subject *subject = must_new(struct subject);
    *subject = (struct subject){.ops = candidate->ops,
        .workplace = workplace,
        .result = result,
        .program = must_copy(program ?: ""),
        .variant = must_copy_or_null(candidate->variant),
        .state = must_printf("%s/state-%s", workplace->directory, name),
        .mark = candidate->ops == &subject_containerd ? workplace->namespace : NULL};
    mkdir(subject->state, 0700);
    return subject;
}

void subject_free(struct subject *subject)
{
    if (!subject)
        return;
    free(subject->program);
    free(subject->variant);
    free(subject->state);
    free(subject);
}

/* ---- all of them ---- */

struct search {
    const struct workplace *workplace;
    const struct candidate *candidates;
    size_t candidate_count;
    struct results *results;
    struct subject **subjects;
    size_t count, limit;
    char *kvm; /* why it cannot be used */
};

/* Why it cannot be tried at all, owned by the caller; NULL where it can. */
static char *refusal(const struct search *search, const struct candidate *candidate)
{
    if (candidate->ops == &subject_kata)
        return must_copy(
            "Kata Containers has no command line that runs a container: --via containerd compares it");
    if (!strcmp(candidate->family, "kata") && is_own_shim("containerd-shim-kata-v2"))
        return must_copy("what answers to Kata's name here is Caisson; Kata Containers is not installed");
    return candidate->hardware ? must_copy_or_null(search->kvm) : NULL;
}

static void add(struct search *search, const struct candidate *candidate, const char *program)
{
    if (search->count == search->limit || launcher_interrupted(search->workplace->launcher))
        return;
    struct subject *subject = subject_new(search->workplace, candidate, program, search->results);
    if (!subject)
        return;
    subject->result->unusable = refusal(search, candidate);
    if (subject->result->unusable) {
        error_free(subject->ops->version(subject, &subject->result->version));
    } else {
        struct error *error = try_first(subject);
        subject->result->unusable = error_code(error) == ERROR_CANCELLED
                                        ? must_copy("interrupted before it was tried")
                                        : must_copy_or_null(error ? error_message(error) : NULL);
        error_free(error);
    }
    if (subject->ops == &subject_containerd && !strcmp(candidate->family, "caisson"))
        subject->result->hardware = !search->kvm;
    if (subject->result->unusable)
        subject_free(subject);
    else
        search->subjects[search->count++] = subject;
}

/* Asked for by name, and not there. */
static void add_missing(struct search *search, const char *name, const char *why)
{
    struct subject_result *result =
        results_find(search->results, name) ? NULL : results_add(search->results, name);
    if (result)
        result->unusable = must_copy(why);
}

static bool is_wanted(const struct candidate *candidate, const char *wanted)
{
    _cleanup_free_ char *name = subject_name(candidate, candidate->program);
    return !wanted || !strcmp(wanted, candidate->family) || !strcmp(wanted, name);
}

/* Owned by the caller; NULL where it is not there. */
static char *program_of(const struct search *search, const struct candidate *candidate)
{
    if (!candidate->program)
        return must_copy("");
    if (candidate->ops == &subject_containerd)
        return must_copy(candidate->program);
    return *candidate->program ? find_program(candidate->program) : must_copy(search->workplace->caisson);
}

static void look_for(struct search *search, const char *wanted)
{
    bool known = false;
    for (size_t i = 0; i < search->candidate_count; i++) {
        const struct candidate *candidate = &search->candidates[i];
        if (!is_wanted(candidate, wanted))
            continue;
        known = true;
        _cleanup_free_ char *program = program_of(search, candidate);
        if (program)
            add(search, candidate, program);
        else if (wanted || strcmp(candidate->family, "kata") != 0)
            add_missing(search, wanted ?: candidate->family,
                "there is no such program in PATH; install it, or give its path");
    }
    if (known || !wanted)
        return;
    if (search->workplace->containerd)
        add_missing(search, wanted, "through containerd there are host, runc, runsc, caisson and kata");
    else if (strchr(wanted, '/') && access(wanted, X_OK) == 0)
        add(search, &by_path, wanted);
    else
        add_missing(search, wanted,
            strchr(wanted, '/') ? "there is no such program"
                                : "it is none of host, runc, crun, runsc, kata, caisson, and no path");
}

size_t subjects_find(const struct workplace *workplace, char *const *wanted, struct results *results,
    struct subject *ret_subjects[], size_t limit)
{
    struct search search = {.workplace = workplace,
        .results = results,
        .subjects = ret_subjects,
        .limit = limit,
        .candidates = workplace->containerd ? via_containerd : candidates,
        .candidate_count = workplace->containerd ? ARRAY_SIZE(via_containerd) : ARRAY_SIZE(candidates),
        .kvm = kvm_refusal(workplace)};
    if (!wanted)
        look_for(&search, NULL);
    STRV_FOREACH (name, wanted)
        look_for(&search, *name);
    free(search.kvm);
    return search.count;
}
