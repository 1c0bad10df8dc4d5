/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as the value of each io.caisson annotation: refused, or settings within their bounds. */
#include "base/memory.h"
#include "sandbox/settings.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const keys[] = {"io.caisson.ports", "io.caisson.dns", "io.caisson.memory",
    "io.caisson.vcpus", "io.caisson.scratch-size", "io.caisson.hypervisor", "io.caisson.debug"};

static void check(const char *key, const char *value)
{
    Grpc__StringEntry network = GRPC__STRING_ENTRY__INIT;
    network.key = "io.caisson.network";
    network.value = "user";
    Grpc__StringEntry entry = GRPC__STRING_ENTRY__INIT;
    entry.key = key;
    entry.value = value;
    Grpc__StringEntry *entries[] = {&network, &entry};
    Grpc__Spec spec = GRPC__SPEC__INIT;
    spec.annotations = entries;
    spec.n_annotations = ARRAY_SIZE(entries);
    _cleanup_settings_ struct settings *settings = NULL;
    _cleanup_error_ struct error *error = settings_read(&spec, &settings);
    if (error)
        return;
    if (settings->vcpus < 1 || settings->vcpus > SETTINGS_VCPUS_MAX || settings->memory > SETTINGS_MEMORY_MAX)
        abort();
    for (size_t i = 0; i < settings->port_count; i++)
        if (settings->ports[i].host_port == 0 || settings->ports[i].guest_port == 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *text = must_copy_length((const char *)data, size);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        check(keys[i], text);
    return 0;
}
