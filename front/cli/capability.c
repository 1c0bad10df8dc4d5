/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/capability.h"

#include "base/strv.h"
#include "cli/options.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

/* linux/capability.h, by number. */
static const char *const names[] = {"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL",
    "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN",
    "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
    "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
    "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
    "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE", NULL};

#define ALL ((UINT64_C(1) << (ARRAY_SIZE(names) - 1)) - 1)

static const char *const usual[] = {"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID",
    "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"};

static const char *name_at(const void *list, size_t index)
{
    return ((const char *const *)list)[index];
}

/* 0 where there is no such capability. */
static uint64_t mask_of(const char *text)
{
    const char *name = strncasecmp(text, "CAP_", 4) ? text : text + 4;

    if (!strcasecmp(name, "ALL"))
        return ALL;
    for (size_t i = 0; names[i]; i++)
        if (!strcasecmp(names[i], name))
            return UINT64_C(1) << i;
    return 0;
}

static struct error *mask_of_all(const char *option, char *const *list, uint64_t *ret_mask)
{
    uint64_t mask = 0;

    STRV_FOREACH (text, list) {
        uint64_t one = mask_of(*text);
        const char *near = one ? NULL : suggest(*text, name_at, names);
        if (near)
            return error_new(ERROR_INVALID_ARGUMENT, "--%s: there is no capability %s; did you mean %s?",
                option, *text, near);
        if (!one)
            return error_new(ERROR_INVALID_ARGUMENT, "--%s: there is no capability %s", option, *text);
        mask |= one;
    }
    *ret_mask = mask;
    return NULL;
}

/* As docker: `--cap-drop ALL --cap-add X` is X, `--cap-add ALL --cap-drop X` all but X. */
struct error *capabilities_choose(
    char *const *added, char *const *dropped, bool privileged, char ***ret_capabilities)
{
    uint64_t add, drop, mask = privileged ? ALL : 0;
    char **chosen = NULL;

    TRY(mask_of_all("cap-add", added, &add));
    TRY(mask_of_all("cap-drop", dropped, &drop));
    for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
        mask |= mask_of(usual[i]);
    if (add == ALL)
        mask = ALL & ~drop;
    else
        mask = (drop == ALL ? 0 : mask & ~drop) | add;
    for (size_t i = 0; names[i]; i++)
        if (mask & UINT64_C(1) << i)
            strv_append_printf(&chosen, "CAP_%s", names[i]);
    *ret_capabilities = chosen;
    return NULL;
}
