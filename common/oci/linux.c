/* SPDX-License-Identifier: Apache-2.0 */
/* The linux section but for its resources and its seccomp profile. */
#include "oci/shape.h"
#include "proto/oci.pb-c.h"

#include <string.h>

/* linux/kdev_t.h: a device number has 12 bits of major and 20 bits of minor. */
#define MAJOR_MAX ((1u << 12) - 1)
#define MINOR_MAX ((1u << 20) - 1)
/* Kernel's default for a device that says nothing of its mode, as every runtime has it. */
#define DEVICE_MODE_DEFAULT 0666

/* ---- user namespace ---- */

static const struct oci_member mapping_members[] = {
    {"containerID", "container_id", .required = true},
    {"hostID", "host_id", .required = true},
    {"size", "size", .required = true, .minimum = 1, .maximum = UINT32_MAX},
};

static struct error *finish_mapping(ProtobufCMessage *message, const struct oci_place *place)
{
    const Grpc__LinuxIDMapping *mapping = (const Grpc__LinuxIDMapping *)message;

    if (mapping->size - 1 > UINT32_MAX - mapping->container_id ||
        mapping->size - 1 > UINT32_MAX - mapping->host_id)
        return oci_refuse(place, "reaches beyond the last id");
    return NULL;
}

static const struct oci_shape mapping_shape = {
    &grpc__linux_idmapping__descriptor, OCI_MEMBERS(mapping_members), .finish = finish_mapping};

/* ---- namespaces ---- */

static const char *const namespace_types[] = {
    "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time", NULL};
static const struct oci_rule namespace_rule = {.reason = "is not a namespace", .words = namespace_types};

static const struct oci_member namespace_members[] = {
    {"type", "type", .rule = &namespace_rule, .required = true},
    {"path", "path", .rule = &oci_rule_absolute_path},
};
static const struct oci_shape namespace_shape = {
    &grpc__linux_namespace__descriptor, OCI_MEMBERS(namespace_members)};

/* ---- devices ---- */

static const char *const device_types[] = {"c", "b", "u", "p", NULL};
static const struct oci_rule device_type_rule = {.reason = "is not a type of device", .words = device_types};

static const struct oci_member device_members[] = {
    {"path", "path", .rule = &oci_rule_absolute_path, .required = true},
    {"type", "type", .rule = &device_type_rule, .required = true},
    {"major", "major", .minimum = 0, .maximum = MAJOR_MAX, .missing = -1},
    {"minor", "minor", .minimum = 0, .maximum = MINOR_MAX, .missing = -1},
    {"fileMode", "file_mode", .missing = DEVICE_MODE_DEFAULT},
    {"uid", "uid"},
    {"gid", "gid"},
};

static struct error *finish_device(ProtobufCMessage *message, const struct oci_place *place)
{
    Grpc__LinuxDevice *device = (Grpc__LinuxDevice *)message;

    if (strcmp(device->type, "p") == 0)
        device->major = device->minor = 0;
    if (device->major < 0 || device->minor < 0)
        return oci_refuse(place, "major and minor are needed for a device of type %s", device->type);
    /* Some clients leave the type's bits in. */
    device->file_mode &= 07777;
    return NULL;
}

static const struct oci_shape device_shape = {
    &grpc__linux_device__descriptor, OCI_MEMBERS(device_members), .finish = finish_device};

/* ---- kernel parameters and personality ---- */

/* Names become paths below /proc/sys. */
static bool is_kernel_parameter(const char *text)
{
    return text[0] != '/' && text[0] != '.' && !strstr(text, "..") && !strstr(text, "//") &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@") ==
               strlen(text);
}

static const struct oci_rule sysctl_rule = {
    .reason = "is not a kernel parameter", .accept = is_kernel_parameter, .longest = 512};

static const char *const personality_domains[] = {"LINUX", "LINUX32", NULL};
static const struct oci_rule personality_rule = {
    .reason = "is not an execution domain", .words = personality_domains};

static const struct oci_member personality_members[] = {
    {"domain", "domain", .rule = &personality_rule, .required = true},
    {"flags", .refused = "flags of a personality are not supported"},
};
static const struct oci_shape personality_shape = {
    &grpc__linux_personality__descriptor, OCI_MEMBERS(personality_members)};

/* ---- linux ---- */

static const char *const propagations[] = {
    "shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable", NULL};
static const struct oci_rule propagation_rule = {
    .reason = "is not a mount propagation", .words = propagations};

static const struct oci_member linux_members[] = {
    {"uidMappings", "uid_mappings", &mapping_shape},
    {"gidMappings", "gid_mappings", &mapping_shape},
    {"sysctl", "sysctl", .rule = &sysctl_rule},
    {"resources", "resources", &oci_resources_shape},
    {"cgroupsPath", "cgroups_path"},
    {"namespaces", "namespaces", &namespace_shape},
    {"devices", "devices", &device_shape},
    {"seccomp", "seccomp", &oci_seccomp_shape},
    {"rootfsPropagation", "rootfs_propagation", .rule = &propagation_rule},
    {"maskedPaths", "masked_paths", .rule = &oci_rule_absolute_path},
    {"readonlyPaths", "readonly_paths", .rule = &oci_rule_absolute_path},
    {"mountLabel", "mount_label"},
    {"personality", "personality", &personality_shape},
    {"intelRdt", .refused = "a virtual machine has no cache and bandwidth allocation"},
    {"memoryPolicy", .refused = "NUMA memory policies are not supported"},
    {"netDevices", .refused = "moving network devices into a container is not supported"},
    {"timeOffsets", .refused = "clock offsets are not supported"},
};

static struct error *check_namespaces_differ(const Grpc__Linux *config, const struct oci_place *place)
{
    struct oci_place namespaces = {.parent = place, .key = "namespaces"};

    for (size_t i = 1; i < config->n_namespaces; i++) {
        struct oci_place element = {.parent = &namespaces, .index = i};
        struct oci_place type = {.parent = &element, .key = "type"};
        for (size_t j = 0; j < i; j++)
            if (strcmp(config->namespaces[i]->type, config->namespaces[j]->type) == 0)
                return oci_refuse_text(&type, config->namespaces[i]->type, "is listed twice");
    }
    return NULL;
}

static struct error *finish_linux(ProtobufCMessage *message, const struct oci_place *place)
{
    const Grpc__Linux *config = (const Grpc__Linux *)message;

    TRY(check_namespaces_differ(config, place));
    if ((config->n_uid_mappings == 0) != (config->n_gid_mappings == 0))
        return oci_refuse(place, "uidMappings and gidMappings are needed together");
    return NULL;
}

const struct oci_shape oci_linux_shape = {
    &grpc__linux__descriptor, OCI_MEMBERS(linux_members), .finish = finish_linux};
