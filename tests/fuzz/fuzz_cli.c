/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a value on the command line: the first byte chooses which one. Keys go through the detach
   filter in pieces, and nothing but the sequence may get lost. */
#include "base/strv.h"
#include "cli/environment.h"
#include "cli/listing.h"
#include "cli/mount.h"
#include "cli/port.h"
#include "client/signals.h"
#include "client/terminal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_mount(char *text, unsigned kind)
{
    char *list[] = {text, NULL};
    const struct run_settings settings = {.volumes = kind == 0 ? list : NULL,
        .mounts = kind == 1 ? list : NULL,
        .temporary = kind == 2 ? list : NULL,
        .read_only = true};
    struct mount_list mounts = {0};
    struct error *error = mount_list_parse(&settings, list, &mounts);

    for (size_t i = 0; i < mounts.count; i++)
        if (mounts.mounts[i].target[0] != '/' || strstr(mounts.mounts[i].target, "/../"))
            abort();
    mount_list_clear(&mounts);
    error_free(error);
}

static void try_ports(char *text)
{
    char *list[] = {text, NULL};
    _cleanup_strv_ char **ports = NULL;

    error_free(ports_parse(list, &ports));
}

static void try_template(const char *text)
{
    json_t *object = json_pack("{s:s, s:{s:i}}", "ID", "x", "State", "ExitCode", 3);
    char *result = NULL;

    error_free(template_expand(text, object, &result));
    free(result);
    json_decref(object);
}

static void try_environment(const char *text)
{
    _cleanup_strv_ char **environment = NULL, **lines = strv_split(text, '\n');

    STRV_FOREACH (line, lines)
        error_free(environment_set(&environment, *line));
}

/* Fed in two pieces: what came out and what is held back must be all of it. */
static void try_keys(const uint8_t *data, size_t size)
{
    struct detach_keys keys;
    char buffer[256 + DETACH_KEYS_MAX];
    size_t first = size / 2, out = 0;

    if (size > 256 || detach_keys_parse("a,a,ctrl-b", &keys))
        return;
    for (int piece = 0; piece < 2; piece++) {
        size_t length = piece == 0 ? first : size - first;
        memcpy(buffer, data + (piece == 0 ? 0 : first), length);
        bool complete = detach_keys_filter(&keys, buffer, &length);
        out += length;
        if (complete)
            return;
    }
    if (out + keys.typed != size)
        abort();
}

static void try_words(const char *text)
{
    struct detach_keys keys;
    int signal;

    error_free(detach_keys_parse(text, &keys));
    error_free(signal_parse(text, &signal));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    _cleanup_free_ char *text = must_copy_length((const char *)data + 1, size - 1);
    switch (data[0] % 8) {
    case 0:
    case 1:
    case 2:
        try_mount(text, data[0] % 8);
        break;
    case 3:
        try_ports(text);
        break;
    case 4:
        try_template(text);
        break;
    case 5:
        try_environment(text);
        break;
    case 6:
        try_keys(data + 1, size - 1);
        break;
    default:
        try_words(text);
    }
    return 0;
}
