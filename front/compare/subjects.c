/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/session.h"

#include "base/path.h"
#include "base/strv.h"

#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK_LIMIT 30000
#define FIRST_LIMIT 20000
#define CANDIDATES_MAX 32

struct candidate {
    const char *family; /* what the user may say for all of them */
    const char *program;
    const char *variant;
    const struct subject_ops *ops;
    bool own_kernel;
    bool hardware; /* needs KVM */
    const char *description;
};

static const struct candidate straight[] = {
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
};

/* The same through containerd. Programs are names of runtimes there; whether it has them shows when one is
 * run. */
static const struct candidate via_containerd[] = {
    {"host", NULL, NULL, &subject_host, false, false, "nothing: the program runs on the host itself"},
    {"runc", "io.containerd.runc.v2", NULL, &subject_containerd, false, false,
        "namespaces, capabilities and a seccomp filter in front of the host's own kernel"},
    {"crun", "io.containerd.runc.v2", "crun", &subject_containerd, false, false,
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
/* Through containerd's shim for runc, which runs any OCI runtime. */
static const struct candidate by_path_via_containerd = {
    "", NULL, NULL, &subject_containerd, false, false, "what this OCI runtime does, given by its path"};

/* ---- what this machine has ---- */

/* The rows of `caisson check`; NULL where it says nothing. */
static json_t *check(const struct workplace *workplace)
{
    char *const arguments[] = {
        (char *)(uintptr_t)workplace->caisson, (char[]){"check"}, (char[]){"--json"}, NULL};
    struct launched launched = {0};
    json_t *rows = NULL;
    struct error *error = launch(workplace->launcher, arguments, CHECK_LIMIT, &launched);
    if (!error)
        error = json_read("caisson check", launched.output, strlen(launched.output), &rows);
    error_free(error);
    launched_clear(&launched);
    return rows;
}

static const char *row_name(const json_t *row)
{
    return json_string_value(json_object_get(row, "name")) ?: "";
}

/* Of the rows only the hypervisors are chosen or not. */
static bool is_hypervisor(const json_t *row)
{
    return json_is_boolean(json_object_get(json_object_get(row, "details"), "chosen"));
}

/* Software that imitates a processor; the others need the processor's virtualization. */
static bool is_emulator(const char *hypervisor)
{
    const char *end = strrchr(hypervisor, '-');
    return end && !strcmp(end, "-tcg");
}

/* Why it cannot be used here, in the words of `caisson check`, borrowed from the rows; NULL where it can. */
static const char *check_refusal(const json_t *rows, const char *name)
{
    size_t index;
    json_t *row;
    json_array_foreach (rows, index, row)
        if (!strcmp(row_name(row), name))
            return json_is_true(json_object_get(row, "usable"))
                       ? NULL
                       : json_string_value(json_object_get(row, "reason")) ?: "`caisson check` says no";
    return "`caisson check` says nothing of it";
}

/* Whether containers are virtual machines of the processor's where nobody names a hypervisor. */
static bool is_hardware_chosen(const json_t *rows)
{
    size_t index;
    json_t *row;
    json_array_foreach (rows, index, row)
        if (json_is_true(json_object_get(json_object_get(row, "details"), "chosen")))
            return !is_emulator(row_name(row));
    return false;
}

/* Caisson takes the place of Kata under its name as well; that is not two runtimes. */
static bool is_own_shim(const char *name)
{
    _cleanup_free_ char *path = program_find(name);
    _cleanup_free_ char *real = path ? realpath(path, NULL) : NULL;
    return real && strstr(strrchr(real, '/'), "caisson") != NULL;
}

/* ---- one subject ---- */

/* crun up to 1.8 refuses machines with both versions of cgroups: it is shown the second one only, in a mount
   namespace of its own. */
static int show_second_cgroups(void *context)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return errno;
    return mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ? errno
                                                                                                     : 0;
}

static char *subject_name(const struct candidate *candidate, const char *program)
{
    const char *slash = program ? strrchr(program, '/') : NULL;
    if (!*candidate->family)
        return must_copy(slash ? slash + 1 : program);
    if (candidate->variant && !strncmp(candidate->variant, candidate->family, strlen(candidate->family)))
        return must_copy(candidate->variant); /* caisson-vmm */
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
    free(TAKE_PTR(subject->result->version));
    TRY(subject->ops->version(subject, &subject->result->version));
    if (subject->ops->prepare)
        TRY(subject->ops->prepare(subject));
    TRY(subject->ops->run(subject, id, &purpose, &arguments));
    subject->workplace->launcher->prepare = subject->prepare;
    struct error *error = launch_checked(subject->workplace->launcher, arguments, FIRST_LIMIT, &launched);
    launched_clear(&launched);
    if (error)
        subject->ops->end(subject, id);
    subject->workplace->launcher->prepare = NULL;
    return error;
}

/* Once more, where what is in its way can be put aside; which the report says. */
static struct error *try_again(struct subject *subject, struct error *error)
{
    if (!error || !strstr(error_message(error), "hybrid mode not supported"))
        return error;
    subject->prepare = show_second_cgroups;
    struct error *second = try_first(subject);
    if (second) {
        error_free(second);
        return error;
    }
    error_free(error);
    subject_note(subject, METRIC_RUN, METRIC_DELETE,
        "unlike the others: it refuses this machine's two versions of cgroups, so it is started in a mount "
        "namespace "
        "that has only the second one, and its containers have one cgroup and no filter of devices, which is "
        "less "
        "to do");
    return NULL;
}

static struct subject *subject_new(const struct workplace *workplace, const struct candidate *candidate,
    const char *program, struct results *results)
{
    _cleanup_free_ char *name = subject_name(candidate, program);
    struct subject_result *result = results_find(results, name) ? NULL : results_add(results, name);
    if (!result)
        return NULL;
    result->description = must_copy(candidate->description);
    /* Of what is given by its path nothing is known but its name. */
    result->own_kernel = candidate->own_kernel || (!*candidate->family && !strncmp(name, "runsc", 5));
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
    struct candidate candidates[CANDIDATES_MAX];
    size_t candidate_count;
    json_t *check; /* rows of `caisson check` */
    struct results *results;
    struct subject **subjects;
    size_t count, limit;
};

static void add_candidates(struct search *search, const struct candidate *table, size_t count)
{
    for (size_t i = 0; i < count && search->candidate_count < CANDIDATES_MAX; i++)
        search->candidates[search->candidate_count++] = table[i];
}

/* One for each hypervisor that `caisson check` names, whether it can be used or not. */
static void add_hypervisors(struct search *search)
{
    size_t index;
    json_t *row;
    json_array_foreach (search->check, index, row) {
        bool emulated = is_emulator(row_name(row));
        const struct candidate candidate = {"caisson", "", row_name(row), &subject_caisson, true, !emulated,
            emulated ? "a virtual machine with a Linux kernel of its own, emulated in software, and the "
                       "confinement of runc inside it"
                     : "a virtual machine with a Linux kernel of its own, on the processor's virtualization, "
                       "and the confinement of runc inside it"};
        if (is_hypervisor(row))
            add_candidates(search, &candidate, 1);
    }
}

/* Why it cannot be tried at all, owned by the caller; NULL where it can. */
static char *refusal(const struct search *search, const struct candidate *candidate)
{
    if (candidate->ops == &subject_kata)
        return must_copy(
            "Kata Containers has no command line that runs a container: --via containerd compares it");
    if (!strcmp(candidate->family, "kata") && is_own_shim("containerd-shim-kata-v2"))
        return must_copy("what answers to Kata's name here is Caisson; Kata Containers is not installed");
    if (candidate->ops == &subject_caisson)
        return must_copy_or_null(check_refusal(search->check, candidate->variant));
    return candidate->hardware ? must_copy_or_null(check_refusal(search->check, "kvm")) : NULL;
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
        struct error *error = try_again(subject, try_first(subject));
        subject->result->unusable = error_code(error) == ERROR_CANCELLED
                                        ? must_copy("interrupted before it was tried")
                                        : must_copy_or_null(error ? error_message(error) : NULL);
        error_free(error);
    }
    if (subject->ops == &subject_containerd && !strcmp(candidate->family, "caisson"))
        subject->result->hardware = is_hardware_chosen(search->check);
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
    return *candidate->program ? program_find(candidate->program) : must_copy(search->workplace->caisson);
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
    if (strchr(wanted, '/') && access(wanted, X_OK) == 0)
        add(search, search->workplace->containerd ? &by_path_via_containerd : &by_path, wanted);
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
        .check = check(workplace)};
    if (workplace->containerd) {
        add_candidates(&search, via_containerd, ARRAY_SIZE(via_containerd));
    } else {
        add_candidates(&search, straight, ARRAY_SIZE(straight));
        add_hypervisors(&search);
    }
    if (!wanted)
        look_for(&search, NULL);
    STRV_FOREACH (name, wanted)
        look_for(&search, *name);
    json_decref(search.check);
    return search.count;
}
