/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The one thing that belongs to a whole program: where its log goes. Set once by main. */
static struct {
    int fd;
    enum log_level level;
    char component[32];
} program_log = {.fd = -1};

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

void log_open(int fd, enum log_level level, const char *component)
{
    program_log.fd = fd;
    program_log.level = level;
    snprintf(program_log.component, sizeof(program_log.component), "%s", component);
}

bool log_enabled(enum log_level level)
{
    return program_log.fd >= 0 && level <= program_log.level;
}

/* Quotes and backslashes are escaped and control characters become \xNN, so an entry stays one line. */
static void put_quoted(FILE *stream, const char *text)
{
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            fprintf(stream, "\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f)
            fprintf(stream, "\\x%02x", byte);
        else
            fputc(byte, stream);
    }
}

void log_write(enum log_level level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    va_list arguments;
    va_start(arguments, format);
    char *message = must_vprintf(format, arguments);
    va_end(arguments);

    struct timespec now;
    struct tm calendar;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &calendar);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &calendar);

    char *line = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&line, &length);
    if (stream) {
        fprintf(stream, "time=\"%s.%06ldZ\" level=%s msg=\"", stamp, now.tv_nsec / 1000, level_names[level]);
        put_quoted(stream, message);
        fprintf(stream, "\" component=%s\n", program_log.component);
        fclose(stream);
        ssize_t ignored = write(program_log.fd, line, length);
        (void)ignored;
    }
    free(line);
    free(message);
    errno = saved;
}
