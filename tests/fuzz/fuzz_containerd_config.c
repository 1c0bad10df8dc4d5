/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as containerd's configuration: refused with a line, or read; and what we add to a text comes out
   of it again to the very same bytes. */
#include "base/strv.h"
#include "cli/setup.h"
#include "cli/setup_toml.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_values(const struct toml *toml)
{
    for (size_t i = 0; i < toml->count; i++) {
        const struct toml_statement *statement = &toml->statements[i];
        if (strv_length(statement->path) < statement->own || (statement->value == NULL) != statement->table)
            abort();
        if (statement->table)
            continue;
        int64_t number = 0;
        _cleanup_free_ char *text = NULL;
        _cleanup_strv_ char **list = NULL;
        error_free(toml_integer(toml, statement, &number));
        error_free(toml_string(toml, statement, &text));
        error_free(toml_strings(toml, statement, &list));
    }
}

static void add_and_remove(const char *text)
{
    static const char *const handlers[] = {"caisson", "kata", NULL};
    const struct setup_block block = {.version = 2, .with_runc = true, .handlers = handlers};
    struct setup_parts before = {0}, after = {0};
    _cleanup_error_ struct error *damaged = setup_parts_read("fuzz", text, &before);
    if (damaged)
        return;
    _cleanup_free_ char *added = setup_block_insert(&before, true, &block);
    free(setup_diff("fuzz", text, added));
    _cleanup_error_ struct error *error = setup_parts_read("fuzz", added, &after);
    if (error || !after.found || strcmp(after.head, before.head) != 0 || strcmp(after.tail, before.tail) != 0)
        abort();
    setup_parts_clear(&before);
    setup_parts_clear(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_toml_ struct toml *toml = NULL;
    _cleanup_free_ char *text = must_copy_length((const char *)data, size);
    error_free(toml_parse("fuzz", (const char *)data, size, &toml));
    if (toml)
        read_values(toml);
    add_and_remove(text);
    return 0;
}
