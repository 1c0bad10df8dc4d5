/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a creation that make what container_host.h describes. */
#include "sandbox/container_host.h"
#include "sandbox/creation.h"

#include <signal.h>
#include <string.h>

/* ---- the cgroup ---- */

static struct error *enter_cgroup(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    const Grpc__Linux *config = creation->spec->linux_config;
    bool named = config && config->cgroups_path && *config->cgroups_path;
    if (!named || !creation->container || !container_has_host(creation->container))
        return NULL;
    TRY(cgroup_new(config->cgroups_path, &sandbox->cgroup));
    struct error *error = sandbox_limit_cgroup(sandbox, cgroup_enter);
    if (error)
        cgroup_free(TAKE_PTR(sandbox->cgroup));
    return error;
}

void creation_enter_cgroup(struct creation *creation)
{
    creation_step_done(creation, enter_cgroup(creation));
}

void creation_leave_cgroup(struct creation *creation)
{
    sandbox_leave_cgroup(creation->sandbox);
}

static struct error *adapt_cgroup(struct sandbox *sandbox)
{
    TRY(sandbox_limit_cgroup(sandbox, cgroup_limit));
    return sandbox->cgroup && sandbox->options.apart ? cgroup_step_in(sandbox->cgroup) : NULL;
}

void creation_adapt_cgroup(struct creation *creation)
{
    creation_step_done(creation, adapt_cgroup(creation->sandbox));
}

void creation_step_out_of_cgroup(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    if (!sandbox->cgroup || !sandbox->options.apart)
        return;
    _cleanup_error_ struct error *error = cgroup_step_out(sandbox->cgroup);
    if (error)
        sandbox_remark(sandbox, "leaving the sandbox's cgroup: %s", error_message(error));
}

/* ---- the stand-in ---- */

static void stand_in_ready(void *context, struct error *error)
{
    const struct container_host *host = context;
    if (host->container && host->container->creation)
        creation_step_done(host->container->creation, error);
    else
        error_free(error);
}

static void ignore_answer(void *context, struct error *error)
{
    error_free(error);
}

/* Somebody on the host sends the container a signal. */
static void signalled(void *context, int number)
{
    const struct container_host *host = context;
    if (host->container)
        process_kill(container_init(host->container), (uint32_t)number, false, ignore_answer, NULL);
}

/* Without it the container has no place on the host; to whoever killed it, it was the container. */
static void killed(void *context)
{
    const struct container_host *host = context;
    if (!host->container || container_init(host->container)->state >= PROCESS_STOPPED)
        return;
    sandbox_remark(host->sandbox, "container %s: its process on the host was killed, and so is it", host->id);
    signalled(context, SIGKILL);
}

static void rootless(void *context, const struct error *reason)
{
    const struct container_host *host = context;
    sandbox_remark(
        host->sandbox, "container %s: its stand-in has no root: %s", host->id, error_message(reason));
}

static const struct stand_in_events stand_in_events = {
    .ready = stand_in_ready, .signalled = signalled, .failed = rootless, .ended = killed};

/* NULL: the host's; "": a new one. */
static const char *network_of(const Grpc__Spec *spec)
{
    for (size_t i = 0; spec->linux_config && i < spec->linux_config->n_namespaces; i++)
        if (strcmp(spec->linux_config->namespaces[i]->type, "network") == 0)
            return spec->linux_config->namespaces[i]->path;
    return NULL;
}

void creation_make_stand_in(struct creation *creation)
{
    struct container *container = creation->container;
    if (!container_has_host(container)) {
        creation_step_done(creation, NULL);
        return;
    }
    struct container_host *host = container->host = container_host_new(container, creation->spec);
    struct stand_in_config config = {
        .name = container->id, .hostname = creation->spec->hostname, .network = network_of(creation->spec)};
    struct error *error =
        stand_in_new(creation->sandbox->base, &config, &stand_in_events, host, &host->stand_in);
    if (error)
        creation_step_done(creation, error);
}

void creation_remove_stand_in(struct creation *creation)
{
    container_host_free(TAKE_PTR(creation->container->host));
}

char *creation_stand_in_network(const struct creation *creation)
{
    const struct container_host *host = creation->container ? creation->container->host : NULL;
    if (!host || !host->stand_in || !network_of(creation->spec))
        return NULL;
    return must_printf("/proc/%d/ns/net", stand_in_pid(host->stand_in));
}

void creation_show_root(struct creation *creation)
{
    struct container *container = creation->container;
    if (container->host)
        creation_step_done(creation,
            stand_in_set_root(container->host->stand_in, container_storage_host_root(container->storage)));
    else
        creation_step_done(creation, NULL);
}

/* ---- hooks ---- */

static void hooks_done(void *creation, struct error *error)
{
    creation_step_done(creation, error);
}

void creation_run_host_hooks(struct creation *creation)
{
    if (creation->container->host)
        container_host_set_up(creation->container->host, hooks_done, creation);
    else
        creation_step_done(creation, NULL);
}

void creation_undo_host_hooks(struct creation *creation)
{
    if (creation->container->host)
        container_host_abandon(TAKE_PTR(creation->container->host));
}
