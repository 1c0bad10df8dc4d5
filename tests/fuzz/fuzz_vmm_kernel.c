/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel's file that anybody may have made, put into a small guest's memory. */
#include "vmm/boot.h"

#include <sys/mman.h>

#define MEMORY (UINT64_C(32) << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guest_memory *memory;
    struct boot_entry entry;
    int kernel = memfd_create("kernel", MFD_CLOEXEC);
    if (kernel < 0 || write(kernel, data, size) != (ssize_t)size || guest_memory_new(MEMORY, false, &memory))
        abort();
    const struct boot_request request = {
        .kernel = kernel, .initrd = -1, .command_line = "console=ttyS0", .processors = 2};
    error_free(boot_load(memory, &request, &entry));
    guest_memory_free(memory);
    close_fd(kernel);
    return 0;
}
