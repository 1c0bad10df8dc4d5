/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/runtime_options.h"

#include "proto/runc.pb-c.h"
#include "proto/runtimeoptions.pb-c.h"

#include <string.h>

bool runtime_options_is_type(const Google__Protobuf__Any *any, const char *name)
{
    const char *slash = strrchr(any->type_url, '/');
    return strcmp(slash ? slash + 1 : any->type_url, name) == 0;
}

struct error *runtime_options_config_path(const Google__Protobuf__Any *any, char **ret_config_path)
{
    if (!any || !runtime_options_is_type(any, runtimeoptions__v1__options__descriptor.name))
        return NULL;
    Runtimeoptions__V1__Options *options =
        runtimeoptions__v1__options__unpack(NULL, any->value.len, any->value.data);
    if (!options)
        return error_new(ERROR_INVALID_ARGUMENT, "the runtime's options cannot be read");
    if (*options->config_path)
        *ret_config_path = must_copy(options->config_path);
    runtimeoptions__v1__options__free_unpacked(options, NULL);
    return NULL;
}

char *runtime_options_shim_cgroup(const Google__Protobuf__Any *any)
{
    if (!any || !runtime_options_is_type(any, runc__options__descriptor.name))
        return NULL;
    Runc__Options *options = runc__options__unpack(NULL, any->value.len, any->value.data);
    if (!options)
        return NULL;
    char *cgroup = *options->shim_cgroup ? must_copy(options->shim_cgroup) : NULL;
    runc__options__free_unpacked(options, NULL);
    return cgroup;
}
