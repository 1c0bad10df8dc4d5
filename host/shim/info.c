/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/shim.h"

#include "base/fd.h"
#include "hv/probe.h"
#include "proto/containerd.pb-c.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* "io.containerd.kata.v2" of ".../containerd-shim-kata-v2": the name that the program was called by. */
static char *runtime_name(const char *program)
{
    static const char prefix[] = "containerd-shim-";
    const char *slash = strrchr(program, '/');
    const char *base = slash ? slash + 1 : program;
    const char *last = strrchr(base, '-');
    if (strncmp(base, prefix, strlen(prefix)) != 0 || !last || last < base + strlen(prefix))
        return must_copy("io.containerd.caisson.v2");
    const char *name = base + strlen(prefix);
    return must_printf("io.containerd.%.*s.%s", (int)(last - name), name, last + 1);
}

static struct error *print_line(const char *line)
{
    if (printf("%s\n", line) < 0 || fflush(stdout) != 0)
        return error_errno(errno, "writing to standard output");
    return NULL;
}

struct error *shim_version(const char *program)
{
    _cleanup_free_ char *name = runtime_name(program);
    _cleanup_free_ char *line = must_printf("%s %s (Caisson)", name, CAISSON_VERSION);
    return print_line(line);
}

struct error *shim_info(const char *program)
{
    _cleanup_free_ char *name = runtime_name(program);
    Containerd__RuntimeVersion version = CONTAINERD__RUNTIME_VERSION__INIT;
    version.version = CAISSON_VERSION;
    Containerd__RuntimeInfo info = CONTAINERD__RUNTIME_INFO__INIT;
    info.name = name;
    info.version = &version;
    size_t length = 0;
    _cleanup_free_ uint8_t *bytes = ttrpc_pack(&info.base, &length);
    return fd_write_all(STDOUT_FILENO, bytes, length);
}

struct error *shim_check(void)
{
    _cleanup_free_ char *report = probe_report_json();
    return print_line(report);
}
