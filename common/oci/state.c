/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/state.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* RFC 8259, section 7: quotes, backslashes and control characters are escaped, all else stands for itself. */
static void write_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20)
            fprintf(out, "\\u%04x", byte);
        else if (byte == '"' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else
            fputc(byte, out);
    }
    fputc('"', out);
}

static void write_member(FILE *out, const char *key, const char *value)
{
    write_string(out, key);
    fputc(':', out);
    write_string(out, value);
    fputc(',', out);
}

static void write_annotations(FILE *out, const struct oci_state *state)
{
    fputs("\"annotations\":{", out);
    for (size_t i = 0; i < state->annotation_count; i++) {
        fputs(i ? "," : "", out);
        write_string(out, state->annotations[i]->key);
        fputc(':', out);
        write_string(out, state->annotations[i]->value);
    }
    fputc('}', out);
}

char *oci_state_json(const struct oci_state *state)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    if (!out)
        abort();
    fputc('{', out);
    write_member(out, "ociVersion", state->version);
    write_member(out, "id", state->id);
    write_member(out, "status", state->status);
    if (state->pid)
        fprintf(out, "\"pid\":%ld,", (long)state->pid);
    write_member(out, "bundle", state->bundle);
    write_annotations(out, state);
    fputc('}', out);
    if (fclose(out) != 0)
        abort();
    return text;
}
