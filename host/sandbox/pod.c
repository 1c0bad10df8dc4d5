/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/pod.h"

#include "oci/config.h"
#include "sandbox/sandbox.h"

#include <string.h>

/* ---- kinds ---- */

static const char *const kind_annotations[] = {
    "io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType", "io.kubernetes.docker.type"};

static const struct {
    const char *name;
    enum container_kind kind;
} kinds[] = {
    {"sandbox", CONTAINER_SANDBOX}, {"podsandbox", CONTAINER_SANDBOX}, {"container", CONTAINER_OF_POD}};

static struct error *parse_kind(const char *key, const char *value, enum container_kind *ret_kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(kinds[i].name, value) == 0) {
            *ret_kind = kinds[i].kind;
            return NULL;
        }
    }
    return error_new(ERROR_INVALID_ARGUMENT,
        "annotation %s: \"%.64s\" is no kind of container; sandbox and container are", key, value);
}

struct error *pod_read_kind(const Grpc__Spec *spec, enum container_kind *ret_kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(kind_annotations); i++) {
        const char *value = oci_annotation(spec, kind_annotations[i]);
        if (value)
            return parse_kind(kind_annotations[i], value, ret_kind);
    }
    *ret_kind = CONTAINER_SINGLE;
    return NULL;
}

/* ---- what does not fit ---- */

static bool has_network_namespace(const Grpc__Spec *spec)
{
    for (size_t i = 0; spec->linux_config && i < spec->linux_config->n_namespaces; i++)
        if (strcmp(spec->linux_config->namespaces[i]->type, "network") == 0)
            return true;
    return false;
}

struct error *pod_check(const Grpc__Spec *spec, enum container_kind kind, bool with_machine, bool standalone)
{
    if (kind == CONTAINER_OF_POD && with_machine)
        return error_new(ERROR_FAILED_PRECONDITION,
            "it belongs to a pod whose sandbox does not run; the pod's sandbox comes first");
    if (!standalone && !has_network_namespace(spec))
        return error_new(ERROR_FAILED_PRECONDITION,
            "the host's network was asked for (config.json has no network namespace), and a virtual machine "
            "cannot have it; use a network of the container's own, or another runtime");
    return NULL;
}

/* ---- a pod without containers ---- */

static Grpc__StringEntry *annotation_new(const struct sandbox_annotation *from)
{
    Grpc__StringEntry *entry = must_new(Grpc__StringEntry);
    *entry = (Grpc__StringEntry)GRPC__STRING_ENTRY__INIT;
    entry->key = must_copy(from->key);
    entry->value = must_copy(from->value);
    return entry;
}

static Grpc__Linux *linux_new(const char *network_namespace)
{
    Grpc__Linux *linux_config = must_new(Grpc__Linux);
    *linux_config = (Grpc__Linux)GRPC__LINUX__INIT;
    if (!network_namespace || !*network_namespace)
        return linux_config;
    Grpc__LinuxNamespace *network = must_new(Grpc__LinuxNamespace);
    *network = (Grpc__LinuxNamespace)GRPC__LINUX_NAMESPACE__INIT;
    network->type = must_copy("network");
    network->path = must_copy(network_namespace);
    linux_config->namespaces = must_alloc_array(1, sizeof(*linux_config->namespaces));
    linux_config->namespaces[0] = network;
    linux_config->n_namespaces = 1;
    return linux_config;
}

Grpc__Spec *pod_spec_new(const struct sandbox_pod *pod)
{
    Grpc__Spec *spec = must_new(Grpc__Spec);
    *spec = (Grpc__Spec)GRPC__SPEC__INIT;
    if (pod->hostname && *pod->hostname)
        spec->hostname = must_copy(pod->hostname);
    spec->annotations = must_alloc_array(pod->annotation_count + 1, sizeof(*spec->annotations));
    for (size_t i = 0; i < pod->annotation_count; i++)
        spec->annotations[spec->n_annotations++] = annotation_new(&pod->annotations[i]);
    spec->linux_config = linux_new(pod->network_namespace);
    return spec;
}
