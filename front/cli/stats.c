/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/strv.h"
#include "cli/container.h"
#include "cli/listing.h"
#include "cli/verb.h"

#include <stdio.h>
#include <time.h>

/* Processor time is a difference of two looks, this far apart in milliseconds. */
#define FIRST_INTERVAL 300
#define INTERVAL 1000

struct stats_settings {
    bool no_stream;
    bool json;
    const char *format;
};

static const struct option stats_options[] = {
    LISTING_OPTIONS(stats_settings),
    OPTION(stats_settings, "no-stream", 0, OPTION_FLAG, no_stream, NULL, "print once"),
    OPTIONS_END,
};

static const struct column columns[] = {
    {"ID", "CONTAINER ID"},
    {"Name", "NAME"},
    {"CPUPerc", "CPU %"},
    {"MemUsage", "MEM USAGE / LIMIT"},
    {"MemPerc", "MEM %"},
    {"NetIO", "NET I/O"},
    {"BlockIO", "BLOCK I/O"},
    {"PIDs", "PIDS"},
    {NULL, NULL},
};

/* One container that is watched. */
struct watched {
    struct container container;
    uint64_t cpu; /* microseconds used at the last look */
    uint64_t at;  /* microseconds, monotonic */
};

struct watch {
    struct workplace workplace;
    struct watched *list;
    size_t count;
};

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

/* ---- one look ---- */

static void sum_network(const Cgroup2__Metrics *metrics, uint64_t *ret_in, uint64_t *ret_out)
{
    *ret_in = *ret_out = 0;
    for (size_t i = 0; i < metrics->n_network; i++) {
        *ret_in += metrics->network[i]->rx_bytes;
        *ret_out += metrics->network[i]->tx_bytes;
    }
}

static void sum_disks(const Cgroup2__Metrics *metrics, uint64_t *ret_in, uint64_t *ret_out)
{
    *ret_in = *ret_out = 0;
    for (size_t i = 0; metrics->io && i < metrics->io->n_usage; i++) {
        *ret_in += metrics->io->usage[i]->rbytes;
        *ret_out += metrics->io->usage[i]->wbytes;
    }
}

static char *pair_text(uint64_t one, uint64_t other)
{
    _cleanup_free_ char *left = size_text(one), *right = size_text(other);
    return must_printf("%s / %s", left, right);
}

/* Without a limit the kernel says the largest number that there is. */
static char *memory_text(uint64_t usage, uint64_t limit)
{
    _cleanup_free_ char *text = size_text(usage);
    return limit < UINT64_MAX / 2 ? pair_text(usage, limit) : must_printf("%s / none", text);
}

static double cpu_percent(struct watched *watched, const Cgroup2__Metrics *metrics)
{
    uint64_t used = metrics->cpu ? metrics->cpu->usage_usec : 0, at = now();
    double percent = 0;

    if (watched->at > 0 && at > watched->at && used >= watched->cpu)
        percent = 100.0 * (double)(used - watched->cpu) / (double)(at - watched->at);
    watched->cpu = used;
    watched->at = at;
    return percent;
}

static json_t *make_row(struct watched *watched, const Cgroup2__Metrics *metrics)
{
    const struct record *record = watched->container.record;
    uint64_t usage = metrics->memory ? metrics->memory->usage : 0;
    uint64_t limit = metrics->memory ? metrics->memory->usage_limit : 0;
    uint64_t in, out, read, written;

    sum_network(metrics, &in, &out);
    sum_disks(metrics, &read, &written);
    _cleanup_free_ char *cpu = must_printf("%.2f%%", cpu_percent(watched, metrics));
    _cleanup_free_ char *share =
        must_printf("%.2f%%", limit > 0 ? 100.0 * (double)usage / (double)limit : 0.0);
    _cleanup_free_ char *memory = memory_text(usage, limit), *network = pair_text(in, out);
    _cleanup_free_ char *disks = pair_text(read, written), *id = must_printf("%.12s", record->id);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "ID", id, "Name", record->name,
        "CPUPerc", cpu, "MemUsage", memory, "MemPerc", share, "NetIO", network, "BlockIO", disks, "PIDs",
        (json_int_t)(metrics->pids ? metrics->pids->current : 0), "MemBytes", (json_int_t)usage,
        "CPUMicroseconds", (json_int_t)watched->cpu);
}

static struct error *look(struct watched *watched, json_t **ret_row)
{
    Cgroup2__Metrics *metrics;

    TRY(container_connect(&watched->container));
    TRY(task_stats(watched->container.task, &metrics));
    *ret_row = make_row(watched, metrics);
    cgroup2__metrics__free_unpacked(metrics, NULL);
    return NULL;
}

/* A container that ends while it is watched is no longer shown. */
static json_t *look_at_all(struct watch *watch)
{
    json_t *rows = json_array(), *row;

    for (size_t i = 0; i < watch->count; i++) {
        struct error *error = look(&watch->list[i], &row);
        if (!error)
            json_array_append_new(rows, row);
        error_free(error);
    }
    return rows;
}

/* ---- the list ---- */

static struct error *add(struct watch *watch, const char *name, bool named)
{
    struct container container;

    TRY(container_open(&watch->workplace, name, &container));
    struct error *error = container_connect(&container);
    if (error) {
        container_close(&container);
        if (named)
            return error;
        error_free(error);
        return NULL;
    }
    watch->list = must_resize(watch->list, watch->count + 1, sizeof(*watch->list));
    watch->list[watch->count++] = (struct watched){.container = container};
    return NULL;
}

static struct error *add_all(struct watch *watch)
{
    _cleanup_strv_ char **ids = NULL;

    TRY(record_list_ids(watch->workplace.directories, &ids));
    STRV_FOREACH (id, ids) {
        error_free(add(watch, *id, false));
    }
    return NULL;
}

static void watch_close(struct watch *watch)
{
    for (size_t i = 0; i < watch->count; i++)
        container_close(&watch->list[i].container);
    free(watch->list);
    workplace_close(&watch->workplace);
}

#define _cleanup_watch_ __attribute__((cleanup(watch_close)))

static void pass_time(struct watch *watch, unsigned milliseconds)
{
    const struct timeval delay = {milliseconds / 1000, (suseconds_t)(milliseconds % 1000) * 1000};

    event_base_loopexit(watch->workplace.base, &delay);
    event_base_dispatch(watch->workplace.base);
}

static struct error *print_once(struct watch *watch, const struct stats_settings *settings)
{
    const struct listing_options options = {.json = settings->json, .format = settings->format};
    _cleanup_json_ json_t *rows = look_at_all(watch);

    if (!settings->no_stream && isatty(STDOUT_FILENO))
        fputs("\033[H\033[J", stdout);
    struct error *error = listing_print(&options, columns, rows);
    fflush(stdout);
    return error;
}

static struct error *stats(void *context, char **arguments, int *ret_code)
{
    const struct stats_settings *settings = context;
    _cleanup_watch_ struct watch watch = {0};

    TRY(workplace_open(&watch.workplace));
    STRV_FOREACH (name, arguments)
        TRY(add(&watch, *name, true));
    if (!*arguments)
        TRY(add_all(&watch));
    *ret_code = 0;
    json_decref(look_at_all(&watch));
    pass_time(&watch, FIRST_INTERVAL);
    TRY(print_once(&watch, settings));
    while (!settings->no_stream && watch.count > 0 && !ferror(stdout)) {
        pass_time(&watch, INTERVAL);
        TRY(print_once(&watch, settings));
    }
    return NULL;
}

const struct verb verb_stats = {
    .name = "stats",
    .arguments = "[CONTAINER...]",
    .summary = "Show what containers use",
    .example = "caisson stats --no-stream web",
    .options = stats_options,
    .settings_size = sizeof(struct stats_settings),
    .maximum = UINT32_MAX,
    .run = stats,
};
