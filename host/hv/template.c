/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/template.h"

#include "base/fd.h"
#include "hv/template_store.h"

#include <fcntl.h>
#include <string.h>

struct template
{
    struct template_place place; /* locked, shared */
    struct hv_snapshot snapshot; /* owned */
};

struct template_request {
    struct template_place place;
    struct hv *machine; /* that becomes the template; or NULL */
    bool making;        /* KEY.new is there, and the lock is ours alone */
    bool ended;         /* what the machine says now changes nothing */
    struct error *result;
    struct event *soon; /* answers from the loop */
    template_done *done;
    void *context;
};

bool template_fits(const struct hv_ops *ops, const struct hv_config *config)
{
    return (ops->capabilities & HV_SNAPSHOT) && config->share_count == 0 && !config->hot_disks &&
           config->memory_max <= config->memory && config->vcpus_max <= config->vcpus;
}

/* ---- a template ---- */

static struct error *open_template(struct template_place *place, struct template **ret_template)
{
    int state = -1;
    TRY(template_place_open(place, &state));
    struct template *template = must_new(struct template);
    template->place = *place;
    *place = (struct template_place){.lock = -1};
    template->snapshot = (struct hv_snapshot){
        .memory = template_place_file(&template->place, false, "memory"), .state = state};
    *ret_template = template;
    return NULL;
}

const struct hv_snapshot *template_snapshot(const struct template *template)
{
    return &template->snapshot;
}

void template_discard(struct template *template)
{
    template_place_remove(&template->place);
}

void template_free(struct template *template)
{
    if (!template)
        return;
    close_fd(template->snapshot.state);
    free((char *)(uintptr_t) template->snapshot.memory);
    template_place_clear(&template->place);
    free(template);
}

/* ---- making one ---- */

static void finish_soon(struct template_request *request, struct error *error)
{
    if (request->ended) {
        error_free(error);
        return;
    }
    request->ended = true;
    request->result = error;
    event_active(request->soon, EV_TIMEOUT, 0);
}

static void on_saved(void *context, struct error *error)
{
    finish_soon(context, error);
}

static struct error *save(struct template_request *request)
{
    _cleanup_free_ char *path = template_place_file(&request->place, true, "state");
    _cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(errno, "making %s", path);
    hv_save(request->machine, fd, on_saved, request);
    return NULL;
}

static void on_started(void *context, struct error *error)
{
    struct template_request *request = context;
    if (!error)
        error = save(request);
    if (error)
        finish_soon(request, error);
}

static void on_stopped(void *context, const struct error *reason)
{
    finish_soon(context, error_new(ERROR_ABORTED, "%s",
                             reason ? error_message(reason) : "the machine powered off before it was saved"));
}

static struct error *start_machine(struct template_request *request, struct event_base *base,
    const struct hv_ops *ops, const struct hv_config *config)
{
    static const struct hv_events events = {.stopped = on_stopped};
    _cleanup_free_ char *memory = template_place_file(&request->place, true, "memory");
    const struct hv_snapshot snapshot = {.memory = memory, .state = -1};
    struct hv_config bare = *config;
    bare.disks = NULL;
    bare.disk_count = 0;
    bare.network = (struct hv_network){.kind = HV_NETWORK_NONE};
    bare.snapshot = &snapshot;
    request->making = true;
    TRY(template_place_begin(&request->place, config->memory));
    TRY(hv_new(ops, base, &bare, &events, request, &request->machine));
    hv_start(request->machine, on_started, request);
    return NULL;
}

/* ---- the request ---- */

static struct error *conclude(struct template_request *request, struct template **ret_template)
{
    hv_free(TAKE_PTR(request->machine));
    if (request->result)
        return TAKE_PTR(request->result);
    if (request->making) {
        TRY(template_place_publish(&request->place));
        request->making = false;
        template_sweep(&request->place);
        TRY(template_place_lock(&request->place, false));
    }
    return open_template(&request->place, ret_template);
}

static void on_soon(evutil_socket_t fd, short what, void *context)
{
    struct template_request *request = context;
    struct template *template = NULL;
    struct error *error = conclude(request, &template);
    template_done *done = request->done;
    void *done_context = request->context;
    if (error && request->making) {
        template_place_abandon(&request->place);
        request->making = false;
    }
    done(done_context, error, template);
}

/* True: it is there, as it was made. */
static struct error *find(struct template_request *request, bool *ret_found)
{
    int state = -1;
    TRY(template_place_lock(&request->place, false));
    _cleanup_error_ struct error *missing = template_place_open(&request->place, &state);
    close_fd(state);
    *ret_found = !missing;
    return NULL;
}

static struct error *begin(struct template_request *request, struct event_base *base, const char *directory,
    const struct hv_ops *ops, const struct hv_config *config)
{
    bool found = false;
    TRY(template_place_find(directory, ops, config, &request->place));
    TRY(find(request, &found));
    if (found) {
        finish_soon(request, NULL);
        return NULL;
    }
    TRY(template_place_lock(&request->place, true));
    return start_machine(request, base, ops, config);
}

struct template_request *template_request_new(struct event_base *base, const char *directory,
    const struct hv_ops *ops, const struct hv_config *config, template_done *done, void *context)
{
    struct template_request *request = must_new(struct template_request);
    *request = (struct template_request){.place = {.lock = -1}, .done = done, .context = context};
    request->soon = evtimer_new(base, on_soon, request);
    struct error *error = begin(request, base, directory, ops, config);
    if (error)
        finish_soon(request, error);
    return request;
}

void template_request_free(struct template_request *request)
{
    if (!request)
        return;
    hv_free(request->machine);
    if (request->making)
        template_place_abandon(&request->place);
    template_place_clear(&request->place);
    event_free(request->soon);
    error_free(request->result);
    free(request);
}
