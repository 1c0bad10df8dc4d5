/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/programs.h"

#include "base/path.h"
#include "base/strv.h"

#include <string.h>

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

/* A service's PATH can be short, so the usual directories are looked at as well. */
static char *search(const char *name)
{
    const char *path = getenv("PATH");
    _cleanup_strv_ char **directories = strv_split(path ? path : "", ':');
    strv_append(&directories, "/usr/local/bin");
    strv_append(&directories, "/usr/bin");
    STRV_FOREACH (directory, directories) {
        _cleanup_free_ char *candidate = must_printf("%s/%s", *directory, name);
        if (candidate[0] == '/' && is_program(candidate))
            return TAKE_PTR(candidate);
    }
    return NULL;
}

struct error *find_qemu(char **ret_path)
{
    const char *chosen = getenv("CAISSON_QEMU");
    if (chosen && !is_program(chosen))
        return error_new(ERROR_NOT_FOUND, "CAISSON_QEMU is %s, which is no program", chosen);
    _cleanup_free_ char *found = chosen ? must_copy(chosen) : search("qemu-system-x86_64");
    if (!found)
        return error_new(
            ERROR_NOT_FOUND, "qemu-system-x86_64 is not installed (Debian package qemu-system-x86)");
    return path_resolve(found, ret_path);
}

struct error *find_vmm(char **ret_path)
{
    const char *chosen = getenv("CAISSON_VMM");
    if (chosen && !is_program(chosen))
        return error_new(ERROR_NOT_FOUND, "CAISSON_VMM is %s, which is no program", chosen);
    if (chosen)
        return path_resolve(chosen, ret_path);
    _cleanup_free_ char *own = NULL, *found = NULL;
    TRY(path_resolve("/proc/self/exe", &own));
    *strrchr(own, '/') = '\0';
    found = must_printf("%s/../lib/caisson/caisson-vmm", own);
    if (!is_program(found))
        return error_new(ERROR_NOT_FOUND, "caisson-vmm is not installed: there is no %s", found);
    return path_resolve(found, ret_path);
}

struct error *find_virtiofsd(struct virtiofsd_program *ret_program)
{
    static const char *const places[] = {"/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd",
        "/usr/lib/virtiofsd", "/usr/local/libexec/virtiofsd", "/usr/bin/virtiofsd"};
    const char *path = getenv("CAISSON_VIRTIOFSD");
    if (path && !is_program(path))
        return error_new(ERROR_NOT_FOUND, "CAISSON_VIRTIOFSD is %s, which is no program", path);
    for (size_t i = 0; !path && i < ARRAY_SIZE(places); i++) {
        if (is_program(places[i]))
            path = places[i];
    }
    if (!path)
        return error_new(ERROR_NOT_FOUND,
            "virtiofsd is not installed (Debian package virtiofsd; up to Debian 12 qemu-system-common)");
    struct virtiofsd_program program = {0};
    TRY(path_resolve(path, &program.path));
    /* The one in C was only ever installed beside QEMU's own helpers. */
    program.rust = !strstr(program.path, "/qemu/");
    *ret_program = program;
    return NULL;
}

void virtiofsd_program_clear(struct virtiofsd_program *program)
{
    free(program->path);
    *program = (struct virtiofsd_program){0};
}
