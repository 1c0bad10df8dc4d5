/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/console.h"

#include "base/fd.h"
#include "base/strv.h"

#include <string.h>

struct console {
    int fd;
    struct event *readable;
    console_first *first;
    void *context;
    uint64_t received;
    size_t length; /* bytes in kept */
    char kept[CONSOLE_KEPT];
};

/* Makes room by dropping the older half, so that moving bytes stays rare. */
static void keep(struct console *console, const char *data, size_t count)
{
    if (count > CONSOLE_KEPT / 2) {
        data += count - CONSOLE_KEPT / 2;
        count = CONSOLE_KEPT / 2;
    }
    if (console->length + count > CONSOLE_KEPT) {
        size_t rest = console->length < CONSOLE_KEPT / 2 ? console->length : CONSOLE_KEPT / 2;
        memmove(console->kept, console->kept + console->length - rest, rest);
        console->length = rest;
    }
    memcpy(console->kept + console->length, data, count);
    console->length += count;
}

/* False at the end of the stream, or when there is nothing now. */
static bool read_some(struct console *console)
{
    char block[4096];
    ssize_t count = read(console->fd, block, sizeof(block));
    if (count > 0) {
        if (console->first)
            console->first(console->context);
        console->first = NULL;
        console->received += (size_t)count;
        keep(console, block, (size_t)count);
        return true;
    }
    if (count == 0 || (errno != EAGAIN && errno != EINTR))
        event_del(console->readable);
    return false;
}

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
    (void)read_some(argument);
}

void console_flush(struct console *console)
{
    /* Bounded: a guest that prints without end must not keep us here. */
    for (int block = 0; block < 64 && read_some(console); block++) {
    }
}

struct error *console_new(
    struct event_base *base, int fd, console_first *first, void *context, struct console **ret_console)
{
    struct console *console = must_new(struct console);
    console->fd = fd;
    console->first = first;
    console->context = context;
    console->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, console);
    struct error *error = fd_set_nonblocking(fd, true);
    if (!error && (!console->readable || event_add(console->readable, NULL) < 0))
        error = error_new(ERROR_INTERNAL, "console: the event loop refused its descriptor");
    if (error) {
        console_free(console);
        return error;
    }
    *ret_console = console;
    return NULL;
}

void console_free(struct console *console)
{
    if (!console)
        return;
    if (console->readable)
        event_free(console->readable);
    close_fd(console->fd);
    free(console);
}

uint64_t console_received(const struct console *console)
{
    return console->received;
}

char *console_text(const struct console *console)
{
    char *text = must_alloc(console->length + 1), *out = text;
    for (size_t i = 0; i < console->length; i++) {
        char c = console->kept[i];
        if (c == '\n' || c == '\t' || (c >= ' ' && c <= '~'))
            *out++ = c;
    }
    return text;
}

/* "[    0.512345] text" without its time stamp. */
static const char *without_stamp(const char *line)
{
    const char *end = line[0] == '[' ? strchr(line, ']') : NULL;
    if (!end || strspn(line + 1, " .0123456789") != (size_t)(end - line - 1))
        return line;
    return end[1] == ' ' ? end + 2 : end + 1;
}

char *console_last_lines(const struct console *console, size_t count)
{
    _cleanup_free_ char *text = console_text(console);
    _cleanup_strv_ char **lines = strv_split(text, '\n');
    size_t first = strv_length(lines), found = 0;
    while (first > 0 && found < count) {
        if (*without_stamp(lines[--first]))
            found++;
    }
    _cleanup_strv_ char **chosen = NULL;
    STRV_FOREACH (line, lines + first) {
        if (*without_stamp(*line))
            strv_append(&chosen, without_stamp(*line));
    }
    return strv_join(chosen, "; ");
}

char *console_panic(const struct console *console)
{
    static const char sign[] = "Kernel panic - not syncing: ";
    _cleanup_free_ char *text = console_text(console);
    char *found = strstr(text, sign);
    if (!found)
        return NULL;
    found += strlen(sign);
    size_t length = strcspn(found, "\n");
    while (length > 0 && found[length - 1] == ' ')
        length--;
    return must_copy_length(found, length);
}
