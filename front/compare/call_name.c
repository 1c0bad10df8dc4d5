/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/call_name.h"

#include "base/memory.h"

#include <stddef.h>

/* Made from the C library's headers at build time, and followed by what is newer than those of Debian 12 (the
   same number on every architecture). A number that both know gets the same name twice. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Winitializer-overrides"
static const char *const names[] = {
#include "call_names.inc" /* built */
    [451] = "cachestat",
    [452] = "fchmodat2",
    [453] = "map_shadow_stack",
    [454] = "futex_wake",
    [455] = "futex_wait",
    [456] = "futex_requeue",
    [457] = "statmount",
    [458] = "listmount",
    [459] = "lsm_get_self_attr",
    [460] = "lsm_set_self_attr",
    [461] = "lsm_list_modules",
    [462] = "mseal",
    [463] = "setxattrat",
    [464] = "getxattrat",
    [465] = "listxattrat",
    [466] = "removexattrat",
    [467] = "open_tree_attr",
    [468] = "file_getattr",
    [469] = "file_setattr",
};
#pragma GCC diagnostic pop

const char *call_name(unsigned number)
{
    return number < ARRAY_SIZE(names) ? names[number] : NULL;
}
