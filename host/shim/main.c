/* SPDX-License-Identifier: Apache-2.0 */
/* containerd-shim-caisson-v2, also known as containerd-shim-kata-v2. */
#include "shim/options.h"
#include "shim/shim.h"

#include <stdio.h>

static struct error *act(const struct shim_options *options, const char *program)
{
    switch (options->action) {
    case SHIM_START:
        return shim_start(options);
    case SHIM_DELETE:
        return shim_delete(options);
    case SHIM_CHECK:
        return shim_check();
    case SHIM_VERSION:
        return shim_version(program);
    case SHIM_INFO:
        return shim_info(program);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct shim_options options;
    const char *program = argc > 0 ? argv[0] : "";
    _cleanup_error_ struct error *error = shim_options_parse(argc, argv, &options);
    if (!error)
        error = act(&options, program);
    if (!error)
        return 0;
    fprintf(stderr, "containerd-shim-caisson-v2: %s\n", error_message(error));
    return 1;
}
