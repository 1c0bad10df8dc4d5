/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int probe_true(char **arguments)
{
    return 0;
}

/* Until its standard input ends or somebody ends it. As the first process of a container it has no default
   action for SIGTERM, which is why input is watched at all. */
static int probe_hold(char **arguments)
{
    char byte;
    puts("ready");
    fflush(stdout);
    if (arguments[0] && !strcmp(arguments[0], "input"))
        while (read(STDIN_FILENO, &byte, 1) > 0)
            continue;
    else
        for (;;)
            pause();
    return 0;
}

static const struct {
    const char *name;
    int (*run)(char **arguments);
    int arguments;
} commands[] = {
    {"true", probe_true, 0},
    {"hold", probe_hold, 0},
    {"evidence", probe_evidence, 0},
    {"calls", probe_calls, 0},
    {"measure", probe_measure, 1},
    {"files", probe_files, 2},
    {"walk", probe_walk, 1},
    {"serve", probe_serve, 1},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (!strcmp(argv[1], commands[i].name) && argc - 2 >= commands[i].arguments)
            return commands[i].run(argv + 2);
    fputs("usage: probe true|hold|evidence|calls|measure KIND...|files DIRECTORY BYTES|walk DIRECTORY|serve "
          "PORT\n",
        stderr);
    return 125;
}
