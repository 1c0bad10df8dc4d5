/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as caisson.conf: refused with a place, or classes within their bounds. */
#include "base/strv.h"
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_class(const struct config *config, const char *name)
{
    _cleanup_class_ struct class *class = NULL;
    _cleanup_error_ struct error *error = config_class(config, name, &class);
    if (error)
        return;
    if (class->vcpus < 1 || (class->vcpus_max != CLASS_AUTO && class->vcpus > class->vcpus_max) ||
        (class->memory_max != CLASS_AUTO && class->memory > class->memory_max))
        abort();
    class_allows(class, "vcpus", "default_vcpus");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_config_ struct config *config = NULL;
    _cleanup_error_ struct error *error = config_parse("fuzz", (const char *)data, size, &config);
    if (error) {
        if (strncmp(error_message(error), "fuzz:", 5) != 0)
            abort();
        return 0;
    }
    check_class(config, "default");
    check_class(config, "a");
    return 0;
}
