/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a creation that let its machine start from a template (hv/template.h). */
#include "sandbox/creation.h"

#include <sys/random.h>

/* As much as the kernel's generator is keyed with, twice (drivers/char/random.c). */
#define ENTROPY_BYTES 64

void creation_choose_hypervisor(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    creation_step_done(creation, sandbox->options.choose(sandbox->settings->hypervisor, &creation->hypervisor,
                                     &creation->hypervisor_reason));
}

/* A start that can have no template boots. That another one makes it just now is nothing to speak of. */
static void template_found(void *context, struct error *error, struct template *template)
{
    struct creation *creation = context;
    creation->template = template;
    if (error && error_code(error) != ERROR_ALREADY_EXISTS)
        sandbox_remark(creation->sandbox, "sandbox %s boots, without a template: %s",
            creation->sandbox->options.id, error_message(error));
    error_free(error);
    creation_step_done(creation, NULL);
}

void creation_find_template(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    const char *directory =
        sandbox->options.templates ? sandbox->options.templates : sandbox->settings->class->templates;
    struct hv_config config = directory ? creation_machine_config(creation) : (struct hv_config){0};
    if (directory && template_fits(creation->hypervisor, &config))
        creation->template_request = template_request_new(
            sandbox->base, directory, creation->hypervisor, &config, template_found, creation);
    else
        creation_step_done(creation, NULL);
}

void creation_release_template(struct creation *creation)
{
    template_request_free(TAKE_PTR(creation->template_request));
    template_free(TAKE_PTR(creation->template));
}

void creation_give_up_template(struct creation *creation, struct error *error)
{
    sandbox_remark(creation->sandbox,
        "sandbox %s boots: it did not start from its template, which is removed: %s",
        creation->sandbox->options.id, error_message(error));
    error_free(error);
    template_discard(creation->template);
    creation->restore_failed = true;
}

/* ---- the guest's random numbers and clock ---- */

static void set_clock(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct creation *creation = context;
    if (error || creation->undone) {
        creation_call_done(creation, error, NULL);
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    Grpc__SetGuestDateTimeRequest request = GRPC__SET_GUEST_DATE_TIME_REQUEST__INIT;
    request.sec = now.tv_sec;
    request.usec = now.tv_nsec / 1000;
    agent_set_time(creation->sandbox->agent, &request, creation_call_done, creation);
}

void creation_renew_guest(struct creation *creation)
{
    uint8_t entropy[ENTROPY_BYTES];
    if (!creation->template) {
        creation_step_done(creation, NULL);
        return;
    }
    if (getrandom(entropy, sizeof(entropy), 0) != sizeof(entropy)) {
        creation_step_done(creation, error_errno(errno, "random numbers for the guest"));
        return;
    }
    Grpc__ReseedRandomDevRequest request = GRPC__RESEED_RANDOM_DEV_REQUEST__INIT;
    request.data = (ProtobufCBinaryData){.data = entropy, .len = sizeof(entropy)};
    agent_reseed(creation->sandbox->agent, &request, set_clock, creation);
}
