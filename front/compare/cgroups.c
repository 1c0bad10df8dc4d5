/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/launch.h"

#include "base/cleanup.h"
#include "base/memory.h"

#include <fts.h>
#include <string.h>
#include <unistd.h>

#define TRIES 20
#define TRY_MILLISECONDS 50

/* One walk over the hierarchies, whatever their version: what is ours goes, innermost first. */
static bool remove_once(const char *prefix, const char *namespace)
{
    char *const roots[] = {(char[]){"/sys/fs/cgroup"}, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    bool all = true;
    FTSENT *entry;
    while (walk && (entry = fts_read(walk)))
        if (entry->fts_info == FTS_DP &&
            (strstr(entry->fts_path, prefix) || strstr(entry->fts_path, namespace)))
            all &= rmdir(entry->fts_path) == 0;
    if (walk)
        fts_close(walk);
    return all;
}

void cgroups_sweep(struct launcher *launcher, pid_t owner)
{
    _cleanup_free_ char *prefix = must_printf("/compare-%d-", (int)owner);
    /* containerd's runtimes make one for its namespace above the containers'. */
    _cleanup_free_ char *namespace = must_printf("/caisson-compare-%d-", (int)owner);
    bool was_calm = launcher->calm;
    launcher->calm = true;
    for (int i = 0; i < TRIES && !remove_once(prefix, namespace); i++)
        launcher_wait(launcher, TRY_MILLISECONDS);
    launcher->calm = was_calm;
}
