/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a program. Libraries return errors; only programs log, and each error once.
 * One line an entry, as logfmt: time="..." level=info msg="..." component=shim
 */
#pragma once

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Where lines go and from which level on. The descriptor stays the caller's; a line that cannot be written
   at once (a full fifo) is dropped, for a log must not stop what it describes. */
void log_open(int fd, enum log_level level, const char *component);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
