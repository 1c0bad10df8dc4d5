/* SPDX-License-Identifier: Apache-2.0 */
#include "client/terminal.h"

#include "base/strv.h"

#include <ctype.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

struct terminal {
    int fd;
    struct termios before;
};

struct error *terminal_raw(int fd, struct terminal **ret_terminal)
{
    struct termios before, raw;

    if (tcgetattr(fd, &before) < 0)
        return error_errno(errno, "cannot read the terminal's settings");
    raw = before;
    cfmakeraw(&raw);
    if (tcsetattr(fd, TCSANOW, &raw) < 0)
        return error_errno(errno, "cannot set the terminal");
    struct terminal *terminal = must_new(struct terminal);
    *terminal = (struct terminal){.fd = fd, .before = before};
    *ret_terminal = terminal;
    return NULL;
}

void terminal_restore(struct terminal *terminal)
{
    if (!terminal)
        return;
    tcsetattr(terminal->fd, TCSANOW, &terminal->before);
    free(terminal);
}

bool terminal_size(int fd, uint32_t *ret_columns, uint32_t *ret_rows)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
        return false;
    *ret_columns = size.ws_col;
    *ret_rows = size.ws_row;
    return true;
}

static bool parse_key(const char *text, char *ret_key)
{
    static const char prefix[] = "ctrl-";
    size_t length = strlen(prefix);

    if (strlen(text) == 1) {
        *ret_key = text[0];
        return true;
    }
    if (strncmp(text, prefix, length) || strlen(text) != length + 1)
        return false;
    int key = toupper((unsigned char)text[length]);
    if (key < '@' || key > '_')
        return false;
    *ret_key = (char)(key - '@');
    return true;
}

struct error *detach_keys_parse(const char *text, struct detach_keys *ret_keys)
{
    _cleanup_strv_ char **names = strv_split(text, ',');
    struct detach_keys keys = {0};

    STRV_FOREACH (name, names) {
        if (!*text)
            break;
        if (keys.count == DETACH_KEYS_MAX)
            return error_new(ERROR_INVALID_ARGUMENT, "more than %d detach keys", DETACH_KEYS_MAX);
        if (!parse_key(*name, &keys.keys[keys.count++]))
            return error_new(ERROR_INVALID_ARGUMENT,
                "\"%s\" is not a key: write a letter, or ctrl- and a letter, separated by commas", *name);
    }
    *ret_keys = keys;
    return NULL;
}

/* How many of the last bytes that are held begin the sequence. */
static size_t longest_beginning(const struct detach_keys *keys, const char *held, size_t count)
{
    size_t length = count < keys->count ? count : keys->count;

    while (memcmp(held + count - length, keys->keys, length))
        length--;
    return length;
}

bool detach_keys_filter(struct detach_keys *keys, char *data, size_t *length)
{
    size_t count = *length;
    _cleanup_free_ char *input = must_alloc(count + 1); /* bytes, not text: NUL can be typed, too */
    char held[DETACH_KEYS_MAX + 1];

    memcpy(input, data, count);
    *length = 0;
    for (size_t i = 0; i < count; i++) {
        size_t have = keys->typed + 1;
        memcpy(held, keys->keys, keys->typed);
        held[keys->typed] = input[i];
        keys->typed = longest_beginning(keys, held, have);
        memcpy(data + *length, held, have - keys->typed);
        *length += have - keys->typed;
        if (keys->count > 0 && keys->typed == keys->count)
            return true;
    }
    return false;
}
