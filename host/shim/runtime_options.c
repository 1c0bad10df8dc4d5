/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/runtime_options.h"

#include "proto/runtimeoptions.pb-c.h"

#include <string.h>

/* The name behind the last slash: "type.googleapis.com/runtimeoptions.v1.Options", or the name alone. */
static const char *type_name(const char *url)
{
    const char *slash = strrchr(url, '/');
    return slash ? slash + 1 : url;
}

struct error *runtime_options_config_path(const Google__Protobuf__Any *any, char **ret_config_path)
{
    if (!any || strcmp(type_name(any->type_url), runtimeoptions__v1__options__descriptor.name) != 0)
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
