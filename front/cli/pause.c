/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/container.h"
#include "cli/verb.h"

#include <stdio.h>

static const struct option no_options[] = {OPTIONS_END};

static struct error *pause_one(struct container *container, const void *context)
{
    TRY(container_connect(container));
    TRY(task_pause(container->task));
    puts(container->name);
    return NULL;
}

static struct error *unpause_one(struct container *container, const void *context)
{
    TRY(container_connect(container));
    TRY(task_resume(container->task));
    puts(container->name);
    return NULL;
}

static struct error *pause_containers(void *settings, char **arguments, int *ret_code)
{
    return for_each_container(arguments, pause_one, settings, ret_code);
}

static struct error *unpause_containers(void *settings, char **arguments, int *ret_code)
{
    return for_each_container(arguments, unpause_one, settings, ret_code);
}

const struct verb verb_pause = {
    .name = "pause",
    .arguments = "CONTAINER...",
    .summary = "Freeze the processes of containers",
    .example = "caisson pause web",
    .options = no_options,
    .minimum = 1,
    .maximum = UINT32_MAX,
    .run = pause_containers,
};

const struct verb verb_unpause = {
    .name = "unpause",
    .arguments = "CONTAINER...",
    .summary = "Let paused containers go on",
    .example = "caisson unpause web",
    .options = no_options,
    .minimum = 1,
    .maximum = UINT32_MAX,
    .run = unpause_containers,
};
