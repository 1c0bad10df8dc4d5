/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile archive: whatever names and links it has, and whatever its documents say, its parts are found or
 * refused. */
#include "image/parts.h"

#include <string.h>
#include <sys/mman.h>

enum { BLOCK = 512 };

static void fix_checksum(uint8_t *header)
{
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (int i = 0; i < BLOCK; i++)
        sum += header[i];
    snprintf((char *)header + 148, 8, "%06o", sum);
}

static struct error *read_archive(const uint8_t *data, size_t size)
{
    _cleanup_progress_ struct progress progress = {0};
    _cleanup_files_ struct files *files = NULL;
    _cleanup_parts_ struct parts parts = {0};
    _cleanup_fd_ int fd = memfd_create("archive", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    _cleanup_free_ char *path = must_printf("/proc/self/fd/%d", fd);
    /* No directory for a copy: a compressed archive ends there, fuzz_image_layer has the decompressor. */
    TRY(files_open_archive(path, "/nonexistent", &progress, &files));
    return parts_read(files, NULL, &parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ uint8_t *copy = must_alloc(size + 1);
    memcpy(copy, data, size);
    for (size_t i = 0; i + BLOCK <= size; i += BLOCK)
        if (memcmp(copy + i + 257, "ustar", 5) == 0)
            fix_checksum(copy + i);
    error_free(read_archive(copy, size));
    return 0;
}
