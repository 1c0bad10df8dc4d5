/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/capability.h"

#include <linux/capability.h>
#include <string.h>
#include <strings.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define CAPABILITY_NUMBERS 64

uint64_t capability_mask(const char *const *names, size_t count)
{
    uint64_t mask = 0;
    for (size_t i = 0; i < count; i++) {
        cap_value_t value;
        if (cap_from_name(names[i], &value) == 0 && value >= 0 && value < CAPABILITY_NUMBERS)
            mask |= UINT64_C(1) << value;
    }
    return mask;
}

/* Reading the bounding set fails for the first number that the kernel does not have. */
static uint64_t kernel_capabilities(void)
{
    uint64_t mask = 0;
    for (int value = 0; value < CAPABILITY_NUMBERS && prctl(PR_CAPBSET_READ, value) >= 0; value++)
        mask |= UINT64_C(1) << value;
    return mask;
}

struct capability_sets capability_sets_of(const Grpc__LinuxCapabilities *capabilities)
{
    if (!capabilities)
        return (struct capability_sets){0};
    uint64_t known = kernel_capabilities();
    struct capability_sets sets = {
        .bounding = known & capability_mask(capabilities->bounding, capabilities->n_bounding),
        .effective = known & capability_mask(capabilities->effective, capabilities->n_effective),
        .inheritable = known & capability_mask(capabilities->inheritable, capabilities->n_inheritable),
        .permitted = known & capability_mask(capabilities->permitted, capabilities->n_permitted),
        .ambient = known & capability_mask(capabilities->ambient, capabilities->n_ambient),
    };
    /* The kernel keeps only these; what else is asked for is left out, as runc does (its own example
       configuration asks for such). */
    sets.ambient &= sets.permitted & sets.inheritable;
    return sets;
}

struct error *capability_drop_bounding(uint64_t keep)
{
    for (int value = 0; value < CAPABILITY_NUMBERS; value++) {
        if (keep & UINT64_C(1) << value)
            continue;
        if (prctl(PR_CAPBSET_DROP, value, 0, 0, 0) == 0)
            continue;
        if (errno == EINVAL)
            return NULL;
        return error_errno(errno, "dropping capability %d from the bounding set", value);
    }
    return NULL;
}

struct error *capability_keep(bool keep)
{
    if (prctl(PR_SET_KEEPCAPS, keep ? 1 : 0, 0, 0, 0) < 0)
        return error_errno(errno, "keeping capabilities across the change of user");
    return NULL;
}

static struct error *apply_ambient(uint64_t ambient)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return error_errno(errno, "clearing ambient capabilities");
    for (int value = 0; value < CAPABILITY_NUMBERS; value++)
        if (ambient & UINT64_C(1) << value && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, value, 0, 0) < 0)
            return error_errno(errno, "raising ambient capability %d", value);
    return NULL;
}

struct error *capability_apply(const struct capability_sets *sets)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    for (int half = 0; half < 2; half++) {
        data[half].effective = (uint32_t)(sets->effective >> (32 * half));
        data[half].permitted = (uint32_t)(sets->permitted >> (32 * half));
        data[half].inheritable = (uint32_t)(sets->inheritable >> (32 * half));
    }
    if (syscall(SYS_capset, &header, data) < 0)
        return error_errno(errno, "setting capabilities");
    return apply_ambient(sets->ambient);
}
