/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/cgroup_file.h"

#include "base/fd.h"

#include <fcntl.h>
#include <string.h>

/* memory.stat and io.stat are the longest, some kilobytes; cgroup.procs has 8 bytes a process. */
#define CGROUP_FILE_MAX (16u << 20)

struct error *cgroup_file_write(int directory, const char *name, const char *text)
{
    _cleanup_fd_ int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "%s", name);
    if (write(fd, text, strlen(text)) < 0)
        return error_errno(errno, "writing \"%.100s\" to %s", text, name);
    return NULL;
}

struct error *cgroup_file_printf(int directory, const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    _cleanup_free_ char *text = must_vprintf(format, arguments);
    va_end(arguments);
    return cgroup_file_write(directory, name, text);
}

struct error *cgroup_file_read(int directory, const char *name, char **ret_text)
{
    return file_read(directory, name, CGROUP_FILE_MAX, ret_text, NULL);
}

static bool number_at(const char *text, uint64_t *ret_value)
{
    if (strncmp(text, "max", 3) == 0) {
        *ret_value = UINT64_MAX;
        return true;
    }
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text)
        return false;
    *ret_value = value;
    return true;
}

bool cgroup_file_number(int directory, const char *name, uint64_t *ret_value)
{
    _cleanup_free_ char *text = NULL;
    struct error *error = cgroup_file_read(directory, name, &text);
    bool known = !error && number_at(text, ret_value);
    error_free(error);
    return known;
}

bool cgroup_text_value(const char *text, const char *key, uint64_t *ret_value)
{
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) == 0 && line[length] == ' ')
            return number_at(line + length + 1, ret_value);
    }
    return false;
}
