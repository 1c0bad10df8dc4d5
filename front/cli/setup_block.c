/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/setup.h"

#include <stdio.h>
#include <string.h>

/* The begin mark says what else has to go with the block, so that undoing gives back the very same bytes. */
#define MARK "# >>> added by caisson setup containerd; --undo removes it"
#define MARK_LINE_END " (with the line end before it)"
#define MARK_FILE " (with the file)"
#define END_MARK "# <<< added by caisson setup containerd"

static const struct {
    int version;
    const char *plugin;
} plugins[] = {
    {2, "io.containerd.grpc.v1.cri"},
    {3, "io.containerd.cri.v1.runtime"},
    {4, "io.containerd.cri.v1.runtime"},
};

const char *setup_plugin(int version)
{
    for (size_t i = 0; i < ARRAY_SIZE(plugins); i++)
        if (plugins[i].version == version)
            return plugins[i].plugin;
    return NULL;
}

/* ---- finding it ---- */

/* The mark at the beginning of a line. */
static const char *find_line(const char *text, const char *mark)
{
    const char *found = strstr(text, mark);
    while (found && found != text && found[-1] != '\n')
        found = strstr(found + 1, mark);
    return found;
}

static unsigned line_of(const char *text, const char *place)
{
    unsigned line = 1;
    for (; text < place; text++)
        line += *text == '\n';
    return line;
}

struct error *setup_parts_read(const char *name, const char *text, struct setup_parts *ret_parts)
{
    const char *begin = find_line(text, MARK), *end = find_line(text, END_MARK);
    if (!begin && !end) {
        *ret_parts = (struct setup_parts){.head = must_copy(text), .tail = must_copy("")};
        return NULL;
    }
    if (!begin || !end || end < begin || find_line(begin + 1, MARK) || find_line(end + 1, END_MARK))
        return error_new(ERROR_INVALID_ARGUMENT,
            "%s:%u: the marks around what caisson setup added are damaged; remove them, and the tables "
            "between "
            "them, by hand",
            name, line_of(text, begin ? begin : end));
    const char *rest = begin + strlen(MARK);
    bool line_end = strncmp(rest, MARK_LINE_END, strlen(MARK_LINE_END)) == 0 && begin > text;
    const char *tail = end + strcspn(end, "\n");
    *ret_parts = (struct setup_parts){.head = must_copy_length(text, (size_t)(begin - text) - line_end),
        .tail = must_copy(tail + (*tail == '\n')),
        .found = true,
        .made_file = strncmp(rest, MARK_FILE, strlen(MARK_FILE)) == 0};
    return NULL;
}

void setup_parts_clear(struct setup_parts *parts)
{
    free(TAKE_PTR(parts->head));
    free(TAKE_PTR(parts->tail));
}

/* ---- writing it ---- */

static void put_handler(FILE *out, const char *plugin, const char *name, const char *runtime)
{
    fprintf(out,
        "[plugins.\"%s\".containerd.runtimes.%s]\n"
        "  runtime_type = \"io.containerd.%s.v2\"\n",
        plugin, name, runtime);
}

static void put_ours(FILE *out, const char *plugin, const char *name)
{
    put_handler(out, plugin, name, strcmp(name, "caisson") == 0 ? "caisson" : "kata");
    fputs("  pod_annotations = [\"io.caisson.*\", \"io.katacontainers.*\"]\n"
          "  privileged_without_host_devices = true\n",
        out);
}

static void put_block(FILE *out, const struct setup_block *block)
{
    const char *plugin = setup_plugin(block->version);
    if (block->say_version)
        fprintf(out, "version = %d\n", block->version);
    if (block->with_runc)
        put_handler(out, plugin, "runc", "runc");
    for (const char *const *name = block->handlers; *name; name++)
        put_ours(out, plugin, *name);
    fputs(END_MARK "\n", out);
}

char *setup_block_insert(const struct setup_parts *parts, bool file_exists, const struct setup_block *block)
{
    char *text = NULL;
    size_t length = strlen(parts->head);
    bool line_end = length > 0 && parts->head[length - 1] != '\n';
    FILE *out = open_memstream(&text, &length);
    if (!out)
        abort(); /* only for want of memory */
    fprintf(out, "%s%s" MARK "%s\n", parts->head, line_end ? "\n" : "",
        line_end                           ? MARK_LINE_END
        : !file_exists || parts->made_file ? MARK_FILE
                                           : "");
    put_block(out, block);
    fputs(parts->tail, out);
    fclose(out);
    return text;
}
