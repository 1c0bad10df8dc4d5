/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verb.h"

#include <stdio.h>
#include <string.h>

#define COLUMN_WIDTH 30

static void put_option(FILE *out, const struct option *option)
{
    char left[128], letter[8] = "    ";

    if (option->letter)
        snprintf(letter, sizeof(letter), "-%c, ", option->letter);
    snprintf(left, sizeof(left), "  %s--%s%s%s", letter, option->name, option->value ? " " : "",
        option->value ?: "");
    if (strlen(left) + 2 <= COLUMN_WIDTH)
        fprintf(out, "%-*s", COLUMN_WIDTH, left);
    else
        fprintf(out, "%s\n%*s", left, COLUMN_WIDTH, "");
    fprintf(out, "%s%s\n", option->kind == OPTION_REFUSED ? "not available: " : "", option->help);
}

static void put_options(FILE *out, const struct option *options)
{
    fputs("\nOptions:\n", out);
    for (; options->name; options++)
        if (options->help)
            put_option(out, options);
    fprintf(out, "%-*s%s\n", COLUMN_WIDTH, "      --help", "this text");
}

static void put_indented(FILE *out, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        fprintf(out, "  %.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

char *help_of_verb(const struct verb *verb)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    if (!out)
        abort(); /* only for want of memory */
    fprintf(out, "Usage: caisson %s%s%s%s\n\n%s.\n", verb->name, verb->options->name ? " [OPTIONS]" : "",
        *verb->arguments ? " " : "", verb->arguments, verb->summary);
    if (verb->details)
        fprintf(out, "%s\n", verb->details);
    put_options(out, verb->options);
    fputs("\nExample:\n", out);
    put_indented(out, verb->example);
    fclose(out);
    return text;
}

char *help_overview(void)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    if (!out)
        abort();
    fputs("Usage: caisson VERB [OPTIONS] [ARGUMENTS]\n\n"
          "Runs containers, each in a virtual machine of its own.\n\nVerbs:\n",
        out);
    for (const struct verb *const *verb = verbs; *verb; verb++)
        if (!(*verb)->hidden)
            fprintf(out, "  %-10s %s\n", (*verb)->name, (*verb)->summary);
    fputs("\ncaisson VERB --help tells more of each.\n\nExample:\n"
          "  caisson run --rm -it debian bash\n",
        out);
    fclose(out);
    return text;
}
