/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/file_mark.h"

#include <inttypes.h>
#include <sys/stat.h>

struct error *file_mark(const char *path, char **ret_text)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return error_errno(errno, "%s", path);
    *ret_text =
        must_printf("%s %ju:%ju %jd %jd.%09ld", path, (uintmax_t)status.st_dev, (uintmax_t)status.st_ino,
            (intmax_t)status.st_size, (intmax_t)status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
    return NULL;
}
