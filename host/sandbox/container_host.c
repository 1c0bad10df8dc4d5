/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/container_host.h"

#include <signal.h>

bool container_has_host(const struct container *container)
{
    return !container->sandbox->options.standalone && geteuid() == 0;
}

/* ---- what it keeps of the configuration ---- */

/* A copy of the parts, by way of the wire: the messages of protobuf-c have no other. */
static Grpc__Spec *copy_parts(const Grpc__Spec *spec)
{
    Grpc__Spec parts = GRPC__SPEC__INIT;
    parts.version = spec->version;
    parts.annotations = spec->annotations;
    parts.n_annotations = spec->n_annotations;
    parts.hooks = spec->hooks;
    size_t length = grpc__spec__get_packed_size(&parts);
    _cleanup_free_ uint8_t *bytes = must_alloc(length + 1);
    grpc__spec__pack(&parts, bytes);
    Grpc__Spec *copy = grpc__spec__unpack(NULL, length, bytes);
    if (!copy)
        abort(); /* what was just packed can only fail for a lack of memory */
    return copy;
}

struct container_host *container_host_new(struct container *container, const Grpc__Spec *spec)
{
    struct container_host *host = must_new(struct container_host);
    host->sandbox = container->sandbox;
    host->container = container;
    host->spec = copy_parts(spec);
    host->id = must_copy(container->id);
    host->bundle = must_copy(container->bundle);
    return host;
}

void container_host_free(struct container_host *host)
{
    if (!host)
        return;
    host_hooks_free(host->hooks);
    stand_in_free(host->stand_in);
    oci_spec_free(host->spec);
    free(host->id);
    free(host->bundle);
    free(host->state);
    free(host);
}

/* ---- hooks ---- */

/* Clears what ran before it answers, for the callee may free the host. */
static void answer(struct container_host *host, struct error *error)
{
    host_hooks_free(TAKE_PTR(host->hooks));
    host->done(host->context, error);
}

static void run_hooks(struct container_host *host, const char *kind, Grpc__Hook *const *hooks, size_t count,
    host_hooks_warn *warn, host_hooks_done *done)
{
    struct host_hooks_config config = {.kind = kind,
        .hooks = hooks,
        .count = count,
        .state = host->state,
        .directory = host->bundle,
        .cgroup = host->sandbox->cgroup};
    host_hooks_free(host->hooks);
    host->hooks = host_hooks_run(host->sandbox->base, &config, warn, done, host);
}

static void describe(struct container_host *host, const char *status)
{
    struct oci_state state = {.version = host->spec->version,
        .id = host->id,
        .status = status,
        .pid = host->stand_in ? stand_in_pid(host->stand_in) : 0,
        .bundle = host->bundle,
        .annotations = host->spec->annotations,
        .annotation_count = host->spec->n_annotations};
    free(host->state);
    host->state = oci_state_json(&state);
}

static void created(void *context, struct error *error)
{
    answer(context, error);
}

static void prestarted(void *context, struct error *error)
{
    struct container_host *host = context;
    const Grpc__Hooks *hooks = host->spec->hooks;
    if (error)
        answer(host, error);
    else
        run_hooks(host, "createRuntime", hooks->create_runtime, hooks->n_create_runtime, NULL, created);
}

void container_host_set_up(struct container_host *host, sandbox_done *done, void *context)
{
    const Grpc__Hooks *hooks = host->spec->hooks;
    host->set_up = true;
    if (hooks && hooks->n_poststop > 0)
        container_write_file(host->container, HOST_HOOKS_NOTE, "");
    if (!hooks || hooks->n_prestart + hooks->n_create_runtime == 0) {
        done(context, NULL);
        return;
    }
    host->done = done;
    host->context = context;
    describe(host, "creating");
    run_hooks(host, "prestart", hooks->prestart, hooks->n_prestart, NULL, prestarted);
}

/* ---- the end ---- */

void container_host_exited(struct container_host *host)
{
    if (host)
        stand_in_free(TAKE_PTR(host->stand_in));
}

static void warn(void *context, const struct error *error)
{
    const struct container_host *host = context;
    sandbox_remark(host->sandbox, "container %s: %s", host->id, error_message(error));
}

/* Whether something runs now. */
static bool run_poststop(struct container_host *host, host_hooks_done *done)
{
    const Grpc__Hooks *hooks = host->spec->hooks;
    if (!host->set_up || !hooks || hooks->n_poststop == 0)
        return false;
    _cleanup_free_ char *note = must_printf("%s/" HOST_HOOKS_NOTE, host->bundle);
    unlink(note);
    describe(host, "stopped");
    run_hooks(host, "poststop", hooks->poststop, hooks->n_poststop, warn, done);
    return true;
}

static void stopped(void *context, struct error *error)
{
    struct container_host *host = context;
    stand_in_free(TAKE_PTR(host->stand_in));
    answer(host, error);
}

void container_host_end(struct container_host *host, sandbox_done *done, void *context)
{
    if (host) {
        host->done = done;
        host->context = context;
        if (run_poststop(host, stopped))
            return;
        stand_in_free(TAKE_PTR(host->stand_in));
    }
    done(context, NULL);
}

static void said_farewell(void *context, struct error *error)
{
    struct container_host *host = context;
    struct sandbox *sandbox = host->sandbox;
    error_free(error);
    TAILQ_REMOVE(&sandbox->farewells, host, entry);
    container_host_free(host);
    sandbox_container_ended(sandbox);
}

void container_host_abandon(struct container_host *host)
{
    host->container = NULL;
    if (run_poststop(host, said_farewell))
        TAILQ_INSERT_TAIL(&host->sandbox->farewells, host, entry);
    else
        container_host_free(host);
}

/* ---- the sandbox's ---- */

bool sandbox_says_farewell(const struct sandbox *sandbox)
{
    return !TAILQ_EMPTY(&sandbox->farewells);
}

void sandbox_free_farewells(struct sandbox *sandbox)
{
    while (sandbox_says_farewell(sandbox)) {
        struct container_host *host = TAILQ_FIRST(&sandbox->farewells);
        TAILQ_REMOVE(&sandbox->farewells, host, entry);
        container_host_free(host);
    }
}

void sandbox_leave_cgroup(struct sandbox *sandbox)
{
    struct cgroup *cgroup = TAKE_PTR(sandbox->cgroup);
    if (!cgroup)
        return;
    _cleanup_error_ struct error *error = cgroup_leave(cgroup);
    if (error)
        sandbox_remark(sandbox, "%s", error_message(error));
    cgroup_free(cgroup);
}
