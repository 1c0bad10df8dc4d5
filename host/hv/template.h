/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates: machines that start from a saved one of their class instead of booting. The first start of a
 * class makes the template: it boots a machine without disks and network, saves it when its agent is idle,
 * and ends it. What the template was made from names it (template_store.h); where any of that changes, or the
 * template was damaged, the next start makes a new one. One start makes it; others, meanwhile, boot.
 *
 * All guests that start from one template have the same memory until they write to it: the same random
 * numbers and the same clock, which have to be renewed before anybody uses them.
 */
#pragma once

#include "hv/hv.h"

struct template;
struct template_request;

/* Whether such a machine can start from one: it has no shares, takes no disks later, and does not grow. */
bool template_fits(const struct hv_ops *ops, const struct hv_config *config);

/* The template is the caller's, who frees it when its machine has started; NULL where there is none for this
   start, and the error, which is the callee's, says why (ALREADY_EXISTS: another start makes it now). */
typedef void template_done(void *context, struct error *error, struct template *template);

/* Finds the template for this machine in a directory, which is made where it is missing, or makes it; done
   from the event loop. The configuration is borrowed during the call. */
struct template_request *template_request_new(struct event_base *base, const char *directory,
    const struct hv_ops *ops, const struct hv_config *config, template_done *done, void *context);
/* Interrupts it, without an answer. Takes NULL. Not from inside `done`'s own machine's callbacks. */
void template_request_free(struct template_request *request);

/* For hv_config; borrowed. */
const struct hv_snapshot *template_snapshot(const struct template *template);
/* Removes it from where it is kept: no machine can start from it. */
void template_discard(struct template *template);
/* Takes NULL. */
void template_free(struct template *template);

DEFINE_CLEANUP(struct template *, template_free);
