/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/probe.h"

#include "base/process.h"
#include "hv/programs.h"
#include "jail/jail.h"

#include <fcntl.h>
#include <string.h>

void probe_result_clear(struct probe_result *result)
{
    free(result->reason);
    free(result->advice);
    json_decref(result->details);
    *result = (struct probe_result){0};
}

static void set_detail(struct probe_result *result, const char *key, const char *value)
{
    json_object_set_new(result->details, key, json_string(value));
}

static char *output_of(const char *program, const char *option, const char *more)
{
    char *const arguments[] = {must_copy(program), must_copy(option), must_copy_or_null(more), NULL};
    const struct process_options options = {.arguments = arguments};
    char *output = NULL;
    error_free(process_run_checked(&options, 64 << 10, &output));
    for (size_t i = 0; i < ARRAY_SIZE(arguments); i++)
        free(arguments[i]);
    return output;
}

/* "QEMU emulator version 7.2.22 (Debian ...)" */
static char *version_in(const char *output)
{
    const char *found = output ? strstr(output, "version ") : NULL;
    if (!found)
        return must_copy("unknown");
    found += strlen("version ");
    return must_copy_length(found, strcspn(found, " \n("));
}

void probe_qemu(struct probe_result *ret_result)
{
    struct probe_result result = {.name = "qemu", .details = json_object()};
    _cleanup_free_ char *path = NULL;
    _cleanup_error_ struct error *error = find_qemu(&path);
    if (error) {
        result.reason = must_copy(error_message(error));
        result.advice = must_copy("apt-get install qemu-system-x86");
        *ret_result = result;
        return;
    }
    _cleanup_free_ char *output = output_of(path, "--version", NULL);
    _cleanup_free_ char *machines = output_of(path, "-M", "help");
    _cleanup_free_ char *version = version_in(output);
    set_detail(&result, "path", path);
    set_detail(&result, "version", version);
    result.usable = machines && strstr(machines, "microvm");
    result.reason = result.usable ? must_printf("QEMU %s with the microvm machine", version)
                                  : must_printf("%s does not know the microvm machine", path);
    if (!result.usable)
        result.advice = must_copy("install QEMU 5.0 or newer (Debian package qemu-system-x86)");
    *ret_result = result;
}

void probe_vmm(struct probe_result *ret_result)
{
    struct probe_result result = {.name = "vmm", .details = json_object()};
    _cleanup_free_ char *path = NULL;
    _cleanup_error_ struct error *error = find_vmm(&path);
    result.usable = !error;
    result.reason = must_copy(error ? error_message(error) : path);
    if (error)
        result.advice = must_copy("install Caisson again, or set CAISSON_VMM to the program");
    *ret_result = result;
}

void probe_virtiofsd(struct probe_result *ret_result)
{
    struct probe_result result = {.name = "virtiofsd", .details = json_object()};
    struct virtiofsd_program program = {0};
    _cleanup_error_ struct error *error = find_virtiofsd(&program);
    const char *why = NULL;
    if (error) {
        result.reason = must_printf("%s; volumes (-v) do not work", error_message(error));
        result.advice = must_copy("apt-get install virtiofsd, or qemu-system-common on Debian 12");
    } else if (!jail_complete(&why)) {
        result.reason = must_printf("volumes (-v) do not work: %s", why);
        result.advice = must_copy("run as root, or allow user namespaces");
    } else {
        result.usable = true;
        result.reason = must_printf("%s (%s)", program.path, program.rust ? "Rust" : "C");
        set_detail(&result, "path", program.path);
        set_detail(&result, "kind", program.rust ? "rust" : "c");
    }
    virtiofsd_program_clear(&program);
    *ret_result = result;
}

void probe_tun(struct probe_result *ret_result)
{
    struct probe_result result = {.name = "tun", .details = json_object()};
    _cleanup_fd_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    result.usable = fd >= 0;
    result.reason = result.usable ? must_copy("/dev/net/tun opens")
                                  : must_printf("/dev/net/tun cannot be opened: %s", strerror(errno));
    if (!result.usable)
        result.advice = must_copy("modprobe tun (only tap networks under containerd need it)");
    *ret_result = result;
}

void probe_jail(struct probe_result *ret_result)
{
    struct probe_result result = {.name = "confinement", .details = json_object()};
    const char *why = NULL;
    result.usable = jail_complete(&why);
    if (!result.usable) {
        result.reason = must_printf("helpers run without namespaces of their own: %s", why);
        result.advice = must_copy("sysctl -w user.max_user_namespaces=10000");
    } else {
        result.reason =
            must_copy(geteuid() == 0 ? "helpers run in namespaces of their own, as no user of the host"
                                     : "helpers run in a user namespace of their own");
    }
    *ret_result = result;
}
