/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as the value of each annotation, from a pod and from the command line: refused, or settings within
   their bounds. */
#include "base/memory.h"
#include "sandbox/settings.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const keys[] = {"io.caisson.ports", "io.caisson.dns", "io.caisson.memory",
    "io.caisson.vcpus", "io.caisson.scratch-size", "io.caisson.hypervisor", "io.caisson.debug",
    "io.katacontainers.config.hypervisor.default_vcpus", "io.katacontainers.config.hypervisor.default_memory",
    "io.katacontainers.config.hypervisor.kernel_params",
    "io.katacontainers.config.runtime.disable_guest_seccomp", "io.kubernetes.cri.sandbox-memory",
    "pod-linux-resources.crio.io"};

static void check(const struct class *class, const char *key, const char *value, bool trusted)
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
    _cleanup_error_ struct error *error = settings_read(&spec, class, trusted, &settings);
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
    _cleanup_class_ struct class *class = class_new("default");
    if (class_set(class, class_key_find("enable_annotations"), "*"))
        abort();
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        check(class, keys[i], text, true);
        check(class, keys[i], text, false);
    }
    return 0;
}
