/* SPDX-License-Identifier: Apache-2.0 */
/* The process, its user and limits, and the hooks. */
#include "oci/shape.h"
#include "proto/oci.pb-c.h"

#include <assert.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>

static bool is_absolute_path(const char *text)
{
    return text[0] == '/';
}

static bool is_variable(const char *text)
{
    const char *equals = strchr(text, '=');
    return equals && equals != text;
}

static bool is_not_empty(const char *text)
{
    return *text;
}

const struct oci_rule oci_rule_absolute_path = {
    .reason = "is not an absolute path", .accept = is_absolute_path, .longest = PATH_MAX - 1};
/* linux/binfmts.h: MAX_ARG_STRLEN is 32 pages, with the terminating byte. */
static const struct oci_rule argument_rule = {.longest = 32 * 4096 - 1};
const struct oci_rule oci_rule_variable = {
    .reason = "is not NAME=VALUE", .accept = is_variable, .longest = 32 * 4096 - 1};
const struct oci_rule oci_rule_not_empty = {.reason = "is empty", .accept = is_not_empty};

/* ---- user ---- */

static const struct oci_member user_members[] = {
    {"uid", "uid"},
    {"gid", "gid"},
    {"umask", "umask", .maximum = 0777},
    {"additionalGids", "additional_gids"},
    {"username", "username"},
};
static const struct oci_shape user_shape = {&grpc__user__descriptor, OCI_MEMBERS(user_members)};

/* ---- capabilities ---- */

static bool is_capability(const char *text)
{
    return strncmp(text, "CAP_", 4) == 0 && text[4] &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(text);
}

/* The specification wants no failure for a capability that this kernel does not know, so the form is checked
   here and the agent grants what its kernel has. */
static const struct oci_rule capability_rule = {
    .reason = "is not a capability", .accept = is_capability, .longest = 64};

static const struct oci_member capabilities_members[] = {
    {"bounding", "bounding", .rule = &capability_rule},
    {"effective", "effective", .rule = &capability_rule},
    {"inheritable", "inheritable", .rule = &capability_rule},
    {"permitted", "permitted", .rule = &capability_rule},
    {"ambient", "ambient", .rule = &capability_rule},
};
static const struct oci_shape capabilities_shape = {
    &grpc__linux_capabilities__descriptor, OCI_MEMBERS(capabilities_members)};

/* ---- resource limits ---- */

static const char *const rlimit_names[] = {"RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA",
    "RLIMIT_FSIZE", "RLIMIT_LOCKS", "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE",
    "RLIMIT_NPROC", "RLIMIT_RSS", "RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK",
    NULL};
static_assert(ARRAY_SIZE(rlimit_names) == RLIM_NLIMITS + 1, "a name for each resource limit");
static const struct oci_rule rlimit_rule = {.reason = "is not a resource limit", .words = rlimit_names};

static const struct oci_member rlimit_members[] = {
    {"type", "type", .rule = &rlimit_rule, .required = true},
    {"hard", "hard", .required = true},
    {"soft", "soft", .required = true},
};

static struct error *finish_rlimit(ProtobufCMessage *message, const struct oci_place *place)
{
    const Grpc__POSIXRlimit *limit = (const Grpc__POSIXRlimit *)message;

    if (limit->soft > limit->hard)
        return oci_refuse(place, "the soft limit is above the hard limit");
    return NULL;
}

static const struct oci_shape rlimit_shape = {
    &grpc__posixrlimit__descriptor, OCI_MEMBERS(rlimit_members), .finish = finish_rlimit};

/* ---- process ---- */

static const struct oci_member box_members[] = {
    {"height", "height", .required = true, .maximum = UINT16_MAX},
    {"width", "width", .required = true, .maximum = UINT16_MAX},
};
static const struct oci_shape box_shape = {&grpc__box__descriptor, OCI_MEMBERS(box_members)};

static const char *const io_classes[] = {"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE", NULL};
static const struct oci_rule io_class_rule = {
    .reason = "is not a class of I/O priority", .words = io_classes};

static const struct oci_member io_priority_members[] = {
    {"class", "class", .rule = &io_class_rule, .required = true},
    {"priority", "priority", .maximum = 7},
};
static const struct oci_shape io_priority_shape = {
    &grpc__linux_iopriority__descriptor, OCI_MEMBERS(io_priority_members)};

static const struct oci_member process_members[] = {
    {"terminal", "terminal"},
    {"consoleSize", "console_size", &box_shape},
    {"user", "user", &user_shape},
    {"args", "args", .rule = &argument_rule, .required = true},
    {"env", "env", .rule = &oci_rule_variable},
    {"cwd", "cwd", .rule = &oci_rule_absolute_path, .required = true},
    {"capabilities", "capabilities", &capabilities_shape},
    {"rlimits", "rlimits", &rlimit_shape},
    {"noNewPrivileges", "no_new_privileges"},
    {"apparmorProfile", "apparmor_profile"},
    {"oomScoreAdj", "oom_score_adj", .minimum = -1000, .maximum = 1000},
    {"selinuxLabel", "selinux_label"},
    {"ioPriority", "io_priority", &io_priority_shape},
    {"scheduler", .refused = "scheduling policies are not supported"},
};

static struct error *check_limits_differ(const Grpc__Process *process, const struct oci_place *place)
{
    struct oci_place limits = {.parent = place, .key = "rlimits"};

    for (size_t i = 1; i < process->n_rlimits; i++) {
        struct oci_place element = {.parent = &limits, .index = i};
        struct oci_place type = {.parent = &element, .key = "type"};
        for (size_t j = 0; j < i; j++)
            if (strcmp(process->rlimits[i]->type, process->rlimits[j]->type) == 0)
                return oci_refuse_text(&type, process->rlimits[i]->type, "is limited twice");
    }
    return NULL;
}

static struct error *finish_process(ProtobufCMessage *message, const struct oci_place *place)
{
    Grpc__Process *process = (Grpc__Process *)message;

    TRY(check_limits_differ(process, place));
    if (!*process->args[0]) {
        struct oci_place args = {.parent = place, .key = "args"};
        return oci_refuse(&args, "the program's name is empty");
    }
    if (!process->user) {
        process->user = must_new(Grpc__User);
        *process->user = (Grpc__User)GRPC__USER__INIT;
    }
    return NULL;
}

const struct oci_shape oci_process_shape = {
    &grpc__process__descriptor, OCI_MEMBERS(process_members), .finish = finish_process};

/* ---- hooks ---- */

static const struct oci_member hook_members[] = {
    {"path", "path", .rule = &oci_rule_absolute_path, .required = true},
    {"args", "args", .rule = &argument_rule},
    {"env", "env", .rule = &oci_rule_variable},
    {"timeout", "timeout", .minimum = 1, .maximum = INT32_MAX},
};
static const struct oci_shape hook_shape = {&grpc__hook__descriptor, OCI_MEMBERS(hook_members)};

static const struct oci_member hooks_members[] = {
    {"prestart", "prestart", &hook_shape},
    {"poststart", "poststart", &hook_shape},
    {"poststop", "poststop", &hook_shape},
    {"createRuntime", "create_runtime", &hook_shape},
    {"createContainer", "create_container", &hook_shape},
    {"startContainer", "start_container", &hook_shape},
};
const struct oci_shape oci_hooks_shape = {&grpc__hooks__descriptor, OCI_MEMBERS(hooks_members)};
