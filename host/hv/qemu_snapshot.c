/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/qemu_snapshot.h"

#include <stdbool.h>
#include <string.h>

#define DESCRIPTOR "state"

/* All at once: QEMU answers commands in order, and each needs the one before. */
void qemu_snapshot_begin(struct qmp *qmp, const char *command, int fd, qmp_done *done, void *context)
{
    json_t *capabilities = json_pack("{s:[{s:s, s:b}, {s:s, s:b}]}", "capabilities", "capability",
        "x-ignore-shared", "state", true, "capability", "events", "state", true);
    qmp_call_with(qmp, "migrate-set-capabilities", capabilities, -1, NULL, NULL);
    qmp_call_with(qmp, "getfd", json_pack("{s:s}", "fdname", DESCRIPTOR), fd, NULL, NULL);
    qmp_call_with(qmp, command, json_pack("{s:s}", "uri", "fd:" DESCRIPTOR), -1, done, context);
}

enum qemu_snapshot_progress qemu_snapshot_event(const char *name, const json_t *data)
{
    const char *status = json_string_value(json_object_get(data, "status"));
    if (strcmp(name, "MIGRATION") != 0 || !status)
        return QEMU_SNAPSHOT_GOES_ON;
    if (strcmp(status, "completed") == 0)
        return QEMU_SNAPSHOT_COMPLETED;
    return strcmp(status, "failed") == 0 ? QEMU_SNAPSHOT_FAILED : QEMU_SNAPSHOT_GOES_ON;
}
