/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verb.h"

const struct verb *const verbs[] = {
    &verb_run,
    &verb_exec,
    &verb_ps,
    &verb_logs,
    &verb_stop,
    &verb_kill,
    &verb_wait,
    &verb_pause,
    &verb_unpause,
    &verb_stats,
    &verb_inspect,
    &verb_rm,
    &verb_pull,
    &verb_load,
    &verb_images,
    &verb_rmi,
    &verb_check,
    &verb_compare,
    &verb_setup,
    &verb_version,
    &verb_publish,
    NULL,
};
