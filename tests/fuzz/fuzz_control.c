/* SPDX-License-Identifier: Apache-2.0 */
/* A message of the monitor's control channel, for either end (first byte: which, and how many descriptors
   came with it). */
#include "base/fd.h"
#include "vmm/control.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum control_end receiver = data[0] & 1 ? CONTROL_OWNER : CONTROL_MONITOR;
    size_t fd_count = data[0] >> 1 & 3;
    struct control_message message = {0};
    struct error *error = control_decode(data + 1, size - 1, fd_count, receiver, &message);
    if (error) {
        error_free(error);
        return 0;
    }
    if (strlen(message.text) > CONTROL_TEXT_MAX)
        abort();
    error_free(message.type == CONTROL_ANSWER ? control_answer_error(&message) : NULL);
    return 0;
}
