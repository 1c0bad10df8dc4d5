/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where templates are kept. Each has a directory below the one of its user, which only that user enters:
 *
 *     KEY/memory         the guest's memory
 *     KEY/state          of its devices
 *     KEY/template.json  what it was made from, and what the two files are like
 *     KEY.new/           one that is being made
 *     KEY.lock           shared by those that start from it, held alone by the one that makes it
 *
 * The key is made from all that a saved machine depends on, so one that is made from other files has another
 * name. What is found under it is used only where template.json says the same in full, the files are those
 * that were written, and nobody has changed them since.
 */
#pragma once

#include "hv/hv.h"

struct template_place {
    char *directory; /* DIR/KEY */
    char *inputs;    /* one line each */
    int lock;        /* -1: none */
};

/* ALREADY_EXISTS: somebody makes this template, or starts from it while it is to be made. */
struct error *template_place_lock(struct template_place *place, bool alone);

struct error *template_place_find(const char *directory, const struct hv_ops *ops,
    const struct hv_config *config, struct template_place *ret_place);
void template_place_clear(struct template_place *place);

/* Paths are the caller's. */
char *template_place_file(const struct template_place *place, bool is_new, const char *name);
/* Opens the state of a template that is as it was made; NOT_FOUND, or what is wrong with it. */
struct error *template_place_open(const struct template_place *place, int *ret_state);
/* An empty KEY.new with a memory file of that size. */
struct error *template_place_begin(const struct template_place *place, uint64_t memory);
/* Describes what is in KEY.new and makes it KEY. */
struct error *template_place_publish(const struct template_place *place);
void template_place_abandon(const struct template_place *place);
/* Removes KEY. */
void template_place_remove(const struct template_place *place);

/* Templates beside this one that nobody uses now: removes those of an earlier boot of the host, of which none
   can be used again, what was never finished, and beyond TEMPLATES_MAX those that were not used for longest.
 */
void template_sweep(const struct template_place *place);
#define TEMPLATES_MAX 8

/* What begins the line of the inputs with the host's boot. */
#define TEMPLATE_BOOT_LINE "\nhost "
#define TEMPLATE_DESCRIPTION_MAX (64u << 10)
