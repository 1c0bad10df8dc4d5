/* SPDX-License-Identifier: Apache-2.0 */
/* A user's name and a container's /etc/passwd and /etc/group, all three a stranger's, separated by NULs. */
#include "agent/container/identity.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Three terminators, so that each of the texts ends whatever the input. */
    char *texts = must_alloc(size + 3);
    if (size)
        memcpy(texts, data, size);
    const char *passwd = texts + strlen(texts) + 1;
    const char *group = passwd < texts + size ? passwd + strlen(passwd) + 1 : "";
    Grpc__User user = GRPC__USER__INIT;
    user.username = texts;
    struct identity identity = {0};
    _cleanup_error_ struct error *error = identity_resolve(&user, passwd, group, &identity);
    if (!error && (identity.uid == UINT32_MAX || identity.gid == UINT32_MAX))
        abort();
    identity_clear(&identity);
    free(texts);
    return 0;
}
