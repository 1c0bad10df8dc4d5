/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/config.h"
#include "base/fd.h"
#include "base/json.h"
#include "oci/big_integer.h"
#include "oci/shape.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* ---- root and mounts ---- */

static const struct oci_member root_members[] = {
    {"path", "path", .required = true},
    {"readonly", "readonly"},
};
static const struct oci_shape root_shape = {&grpc__root__descriptor, OCI_MEMBERS(root_members)};

static const struct oci_rule path_rule = {.longest = PATH_MAX - 1};

static const struct oci_member mount_members[] = {
    {"destination", "destination", .rule = &path_rule, .required = true},
    {"source", "source"},
    {"type", "type"},
    {"options", "options"},
    {"uidMappings", .refused = "id-mapped mounts are not supported"},
    {"gidMappings", .refused = "id-mapped mounts are not supported"},
};

/* The specification reads a relative destination as one below "/". */
static void make_destination_absolute(Grpc__Mount *mount)
{
    char *absolute = must_printf("/%s", mount->destination);

    free((void *)(uintptr_t)mount->destination);
    mount->destination = absolute;
}

static struct error *finish_mount(ProtobufCMessage *message, const struct oci_place *place)
{
    static const char *const id_mapped[] = {"idmap", "ridmap", NULL};
    Grpc__Mount *mount = (Grpc__Mount *)message;
    struct oci_place options = {.parent = place, .key = "options"};

    if (mount->destination[0] != '/')
        make_destination_absolute(mount);
    for (size_t i = 0; i < mount->n_options; i++)
        if (oci_is_one_of(mount->options[i], id_mapped))
            return oci_refuse_text(&options, mount->options[i], "is not supported");
    return NULL;
}

static const struct oci_shape mount_shape = {
    &grpc__mount__descriptor, OCI_MEMBERS(mount_members), .finish = finish_mount};

/* ---- the whole ---- */

/* Versions are semantic, so every 1.x is understood. */
static bool is_supported_version(const char *text)
{
    return strncmp(text, "1.", 2) == 0 && isdigit((unsigned char)text[2]) && strchr(text + 2, '.');
}

static const struct oci_rule version_rule = {
    .reason = "is not a supported version (1.x)", .accept = is_supported_version, .longest = 64};
/* linux/utsname.h: __NEW_UTS_LEN. */
static const struct oci_rule host_rule = {.longest = 64};

static const struct oci_member spec_members[] = {
    {"ociVersion", "version", .rule = &version_rule, .required = true},
    {"process", "process", &oci_process_shape, .required = true},
    {"root", "root", &root_shape, .required = true},
    {"hostname", "hostname", .rule = &host_rule},
    {"domainname", "domainname", .rule = &host_rule},
    {"mounts", "mounts", &mount_shape},
    {"hooks", "hooks", &oci_hooks_shape},
    {"annotations", "annotations"},
    {"linux", "linux_config", &oci_linux_shape},
};
const struct oci_shape oci_spec_shape = {&grpc__spec__descriptor, OCI_MEMBERS(spec_members)};

/* ---- documents ---- */

static struct error *parse(const char *name, const char *text, size_t length, const struct oci_shape *shape,
    ProtobufCMessage **ret_message)
{
    _cleanup_json_ json_t *json = NULL;
    struct oci_place place = {.key = name};

    if (length > OCI_DOCUMENT_MAX)
        return oci_refuse(&place, "is longer than %u bytes", OCI_DOCUMENT_MAX);
    _cleanup_free_ char *encoded = oci_big_integers_encode(text, length);
    TRY(json_read(name, encoded ? encoded : text, length, &json));
    return oci_read_object(json, &place, shape, ret_message);
}

struct error *oci_config_parse(const char *text, size_t length, Grpc__Spec **ret_spec)
{
    ProtobufCMessage *message;

    TRY(parse("config.json", text, length, &oci_spec_shape, &message));
    *ret_spec = (Grpc__Spec *)message;
    return NULL;
}

struct error *oci_process_parse(const char *text, size_t length, Grpc__Process **ret_process)
{
    ProtobufCMessage *message;

    TRY(parse("process", text, length, &oci_process_shape, &message));
    *ret_process = (Grpc__Process *)message;
    return NULL;
}

struct error *oci_resources_parse(const char *text, size_t length, Grpc__LinuxResources **ret_resources)
{
    ProtobufCMessage *message;

    TRY(parse("resources", text, length, &oci_resources_shape, &message));
    *ret_resources = (Grpc__LinuxResources *)message;
    return NULL;
}

struct error *oci_config_load(int bundle_dir_fd, Grpc__Spec **ret_spec)
{
    _cleanup_free_ char *text = NULL;
    size_t length;

    TRY(file_read(bundle_dir_fd, "config.json", OCI_DOCUMENT_MAX, &text, &length));
    return oci_config_parse(text, length, ret_spec);
}

/* ---- the result ---- */

const char *oci_annotation(const Grpc__Spec *spec, const char *key)
{
    for (size_t i = 0; i < spec->n_annotations; i++)
        if (strcmp(spec->annotations[i]->key, key) == 0)
            return spec->annotations[i]->value;
    return NULL;
}

void oci_spec_free(Grpc__Spec *spec)
{
    grpc__spec__free_unpacked(spec, NULL);
}

void oci_process_free(Grpc__Process *process)
{
    grpc__process__free_unpacked(process, NULL);
}

void oci_resources_free(Grpc__LinuxResources *resources)
{
    grpc__linux_resources__free_unpacked(resources, NULL);
}
