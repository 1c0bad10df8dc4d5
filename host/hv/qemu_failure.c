/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/qemu_failure.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* "qemu-system-x86_64: -netdev user,...: Could not ..." without the program's name and its option. */
static const char *without_prefix(const char *line)
{
    if (strncmp(line, "qemu", 4) == 0 && strstr(line, ": "))
        line = strstr(line, ": ") + 2;
    if (line[0] == '-' && strstr(line, ": "))
        line = strstr(line, ": ") + 2;
    return line;
}

/* "... host forwarding rule 'tcp:127.0.0.1:80-:8080'": the rule says what could not be had. */
static struct error *forwarding_failure(const char *rule)
{
    char protocol[4] = "", rest[64] = "";
    if (sscanf(rule, "%3[a-z]:%63[^-']", protocol, rest) != 2)
        return error_new(ERROR_UNAVAILABLE, "a port cannot be published: %s", rule);
    const char *where = rest[0] == ':' ? rest + 1 : rest;
    return error_new(ERROR_ALREADY_EXISTS,
        "port %s/%s of the host cannot be published: it is in use, or below 1024 and you are not root", where,
        protocol);
}

struct error *qemu_failure_from_errors(int exit_code, const char *errors)
{
    const char *rule = strstr(errors, "host forwarding rule '");
    if (rule)
        return forwarding_failure(rule + strlen("host forwarding rule '"));
    if (strstr(errors, "annot allocate memory") || strstr(errors, "cannot set up guest memory"))
        return error_new(ERROR_RESOURCE_EXHAUSTED, "the host has not enough memory for the machine; free "
                                                   "some, or give the container less (--memory)");
    if (strstr(errors, "KVM kernel module") || strstr(errors, "failed to initialize kvm"))
        return error_new(ERROR_FAILED_PRECONDITION, "KVM is not usable here (caisson check says why): %s",
            without_prefix(errors));
    if (!*errors)
        return error_new(ERROR_INTERNAL, "QEMU ended with exit code %d and said nothing", exit_code);
    return error_new(ERROR_INTERNAL, "QEMU ended with exit code %d: %s", exit_code, without_prefix(errors));
}

static struct error *killed(int signal_number)
{
    if (signal_number == SIGKILL)
        return error_new(ERROR_ABORTED,
            "the virtual machine was killed (SIGKILL): by somebody, or because the "
            "host ran out of memory");
    return error_new(ERROR_ABORTED, "the virtual machine's monitor died of signal %d (%s)", signal_number,
        strsignal(signal_number));
}

struct error *qemu_failure(const struct qemu_end *end)
{
    if (end->fault)
        return error_new(error_code(end->fault), "%s", error_message(end->fault));
    if (end->panic)
        return error_new(
            ERROR_ABORTED, "the guest's kernel panicked: %s (console: %s)", end->panic, end->console);
    if (WIFSIGNALED(end->status))
        return killed(WTERMSIG(end->status));
    if (WEXITSTATUS(end->status) != 0)
        return qemu_failure_from_errors(WEXITSTATUS(end->status), end->errors);
    if (!end->started)
        return error_new(ERROR_ABORTED, "the guest powered off before its agent answered%s%s",
            *end->console ? "; its console says: " : "", end->console);
    return NULL;
}
