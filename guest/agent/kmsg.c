/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/kmsg.h"

#include <stdarg.h>
#include <stdio.h>

void kmsg_write(const struct kmsg *kmsg, enum kmsg_level level, const char *format, ...)
{
    char record[512];
    int prefix = kmsg->device ? snprintf(record, sizeof(record), "<%d>caisson-agent: ", level)
                              : snprintf(record, sizeof(record), "caisson-agent: ");
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(record + prefix, sizeof(record) - (size_t)prefix - 1, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    size_t total = (size_t)prefix + (size_t)length;
    if (total > sizeof(record) - 2)
        total = sizeof(record) - 2;
    record[total++] = '\n';
    ssize_t ignored = write(kmsg->fd, record, total);
    (void)ignored;
}

void kmsg_error(const struct kmsg *kmsg, enum kmsg_level level, struct error *error)
{
    if (error)
        kmsg_write(kmsg, level, "%s", error_message(error));
    error_free(error);
}
