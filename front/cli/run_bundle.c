/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "base/json.h"
#include "base/path.h"
#include "base/strv.h"
#include "cli/capability.h"
#include "cli/environment.h"
#include "cli/port.h"
#include "cli/resolver.h"
#include "cli/run.h"
#include "cli/seccomp.h"
#include "cli/spec.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define ID_SHORT 12

/* What is computed from the options before anything is made. */
struct plan {
    struct mount_list mounts;
    char **environment;
    char **ports;
    char **capabilities;
    json_t *seccomp;
    bool no_new_privileges;
    const char *network;
    char *hostname;
    int stop_signal;
};

static void plan_clear(struct plan *plan)
{
    mount_list_clear(&plan->mounts);
    strv_free(plan->environment);
    strv_free(plan->ports);
    strv_free(plan->capabilities);
    json_decref(plan->seccomp);
    free(plan->hostname);
}

#define _cleanup_plan_ __attribute__((cleanup(plan_clear)))

/* ---- reading options ---- */

static struct error *plan_environment(const struct run_settings *settings, struct plan *plan)
{
    STRV_FOREACH (file, settings->environment_files)
        TRY(environment_read_file(&plan->environment, *file));
    STRV_FOREACH (assignment, settings->environment) {
        struct error *error = environment_set(&plan->environment, *assignment);
        if (error)
            return error_wrap(error, "--env");
    }
    return NULL;
}

static struct error *read_security_option(const char *text, struct plan *plan, const char **ret_profile)
{
    if (!strcmp(text, "no-new-privileges") || !strcmp(text, "no-new-privileges=true") ||
        !strcmp(text, "no-new-privileges:true"))
        plan->no_new_privileges = true;
    else if (!strncmp(text, "seccomp=", 8) || !strncmp(text, "seccomp:", 8))
        *ret_profile = text + 8;
    else if (strcmp(text, "no-new-privileges=false") && strcmp(text, "no-new-privileges:false"))
        return error_new(ERROR_INVALID_ARGUMENT,
            "--security-opt %s: there are seccomp=FILE, seccomp=unconfined and no-new-privileges", text);
    return NULL;
}

static struct error *plan_security(const struct run_settings *settings, struct plan *plan)
{
    const char *profile = settings->privileged ? "unconfined" : "default";

    TRY(capabilities_choose(settings->capabilities_added, settings->capabilities_dropped,
        settings->privileged, &plan->capabilities));
    STRV_FOREACH (text, settings->security)
        TRY(read_security_option(*text, plan, &profile));
    if (!strcmp(profile, "unconfined"))
        return NULL;
    if (strcmp(profile, "default") && strcmp(profile, "builtin"))
        return error_wrap(
            seccomp_read_file(profile, plan->capabilities, &plan->seccomp), "--security-opt seccomp");
    plan->seccomp = seccomp_default(plan->capabilities);
    return NULL;
}

static struct error *plan_network(const struct run_settings *settings, struct plan *plan)
{
    plan->network = settings->network ?: settings->ports ? "user" : "none";
    if (strcmp(plan->network, "none") && strcmp(plan->network, "user") &&
        strncmp(plan->network, SPEC_NAMESPACE "/", strlen(SPEC_NAMESPACE "/")))
        return error_new(ERROR_INVALID_ARGUMENT,
            "--network is none, user or " SPEC_NAMESPACE "/PATH, not \"%s\"", plan->network);
    if (settings->ports && strcmp(plan->network, "user"))
        return error_new(ERROR_INVALID_ARGUMENT, "-p publishes nothing with --network %s; use --network user",
            plan->network);
    return ports_parse(settings->ports, &plan->ports);
}

static struct error *plan_stop_signal(const struct run *run, struct plan *plan)
{
    const char *text = run->settings->stop_signal ?: run->image->config.stop_signal;
    return signal_parse(text && *text ? text : "TERM", &plan->stop_signal);
}

static struct error *make_plan(const struct run *run, struct plan *plan)
{
    const struct run_settings *settings = run->settings;

    TRY(plan_environment(settings, plan));
    TRY(plan_security(settings, plan));
    TRY(plan_network(settings, plan));
    TRY(plan_stop_signal(run, plan));
    TRY(mount_list_parse(settings, run->image->config.volumes, &plan->mounts));
    plan->hostname =
        settings->hostname ? must_copy(settings->hostname) : must_printf("%.*s", ID_SHORT, run->record->id);
    return NULL;
}

/* ---- files of the bundle ---- */

static struct error *write_hosts(const struct run *run, const struct plan *plan)
{
    const char *own = !strcmp(plan->network, "user") ? "10.0.2.15" : "127.0.1.1";
    _cleanup_free_ char *path = must_printf("%s/hosts", run->bundle);
    _cleanup_strv_ char **lines = NULL;
    unsigned char address[sizeof(struct in6_addr)];

    strv_append(&lines, "127.0.0.1\tlocalhost");
    strv_append(&lines, "::1\tlocalhost ip6-localhost ip6-loopback");
    strv_append_printf(&lines, "%s\t%s", own, plan->hostname);
    STRV_FOREACH (host, run->settings->hosts) {
        const char *colon = strchr(*host, ':');
        const char *ip = colon ? colon + 1 : "";
        if (!strcmp(ip, "host-gateway"))
            ip = "10.0.2.2";
        if (colon == *host || (inet_pton(AF_INET, ip, address) != 1 && inet_pton(AF_INET6, ip, address) != 1))
            return error_new(ERROR_INVALID_ARGUMENT, "--add-host %s: it is NAME:IP", *host);
        strv_append_printf(&lines, "%s\t%.*s", ip, (int)(colon - *host), *host);
    }
    strv_append(&lines, "");
    _cleanup_free_ char *text = strv_join(lines, "\n");
    return file_write_text(AT_FDCWD, path, text);
}

static struct error *write_files(const struct run *run, const struct plan *plan, bool *ret_has_resolver)
{
    _cleanup_free_ char *path = must_printf("%s/hostname", run->bundle);
    _cleanup_free_ char *line = must_printf("%s\n", plan->hostname);
    _cleanup_free_ char *resolver_path = must_printf("%s/resolv.conf", run->bundle);
    _cleanup_free_ char *resolver = NULL;

    TRY(write_hosts(run, plan));
    TRY(file_write_text(AT_FDCWD, path, line));
    TRY(resolver_text(plan->network, run->settings->dns, &resolver));
    *ret_has_resolver = resolver != NULL;
    return resolver ? file_write_text(AT_FDCWD, resolver_path, resolver) : NULL;
}

static struct error *write_config(struct run *run, struct plan *plan, bool has_resolver)
{
    _cleanup_free_ char *path = must_printf("%s/config.json", run->bundle);
    _cleanup_json_ json_t *spec = NULL;
    const struct spec_input input = {
        .settings = run->settings,
        .image = &run->image->config,
        .mounts = &plan->mounts,
        .arguments = run->arguments,
        .environment = plan->environment,
        .ports = plan->ports,
        .capabilities = plan->capabilities,
        .seccomp = plan->seccomp,
        .network = plan->network,
        .hostname = plan->hostname,
        .bundle = run->bundle,
        .has_resolver = has_resolver,
        .no_new_privileges = plan->no_new_privileges,
    };

    TRY(spec_build(&input, &spec));
    TRY(spec_command(&input, &run->record->command));
    _cleanup_free_ char *text = spec_write(spec);
    return file_write_text(AT_FDCWD, path, text);
}

/* ---- the record ---- */

/* "docker.io/library/debian:12" -> "debian-" and digits of the id. */
static char *default_name(const char *image, const char *id)
{
    const char *base = strrchr(image, '/') ? strrchr(image, '/') + 1 : image;
    _cleanup_free_ char *name = must_copy_length(base, strcspn(base, ":@"));

    for (char *letter = name; *letter; letter++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", *letter))
            *letter = '-';
    if (strlen(name) > 40)
        name[40] = '\0';
    const char *begin = name + strspn(name, "_.-");
    return must_printf("%s-%.5s", *begin ? begin : "container", id);
}

static void fill_record(struct run *run)
{
    const struct run_settings *settings = run->settings;
    struct record *record = must_new(struct record);

    record->id = record_new_id();
    record->name = settings->name ? must_copy(settings->name) : default_name(run->image_name, record->id);
    record->image = must_copy(run->image_name);
    record->image_digest = must_copy(run->image->digest);
    record->labels = strv_copy(run->image->config.labels);
    strv_extend(&record->labels, settings->labels);
    record->annotations = strv_copy(settings->annotations);
    record->hypervisor = must_copy(settings->hypervisor);
    record->stop_timeout = settings->stop_timeout;
    record->created = record_now();
    record->terminal = settings->terminal;
    record->detached = settings->detach;
    record->auto_remove = settings->remove;
    run->record = record;
    run->bundle = directories_bundle(run->directories, record->id);
}

static void add_plan_to_record(const struct plan *plan, struct record *record)
{
    const char *name = sigabbrev_np(plan->stop_signal);

    record->ports = strv_copy(plan->ports);
    record->network = must_copy(plan->network);
    record->stop_signal = name ? must_printf("SIG%s", name) : must_printf("%d", plan->stop_signal);
}

struct error *run_make_bundle(struct run *run)
{
    _cleanup_plan_ struct plan plan = {0};
    bool has_resolver;

    fill_record(run);
    TRY(make_plan(run, &plan));
    add_plan_to_record(&plan, run->record);
    TRY(record_reserve(run->directories, run->record, &run->lock));
    run->reserved = true;
    TRY(image_reference(run->store, run->image->digest, run->record->id));
    TRY(mount_list_prepare(&plan.mounts, run->directories->data, run->record->id, &run->record->volumes));
    if (mkdir(run->bundle, 0700) < 0)
        return error_errno(errno, "cannot create %s", run->bundle);
    TRY(write_files(run, &plan, &has_resolver));
    TRY(write_config(run, &plan, has_resolver));
    return record_save(run->directories, run->record);
}
