/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc/caisson/caisson.conf, and the *.conf files of conf.d beside it in the order of their names. A later
 * assignment wins over an earlier one; [default] holds for every class, [class NAME] for one.
 *
 * Nothing is read half: whatever is wrong anywhere, in a class that is asked for or not, refuses the whole
 * with "FILE:LINE: what" and, for a misspelt key, with the nearest right one.
 */
#pragma once

#include "base/error.h"
#include "config/class.h"

#include <stdbool.h>

#define CONFIG_FILE "/etc/caisson/caisson.conf"
#define CONFIG_DEFAULT_CLASS "default"
#define CONFIG_CLASSES_MAX 64
#define CONFIG_ASSIGNMENTS_MAX 4096

struct config;

/* Where the configuration is and which class of it is meant. `given` is the runtime's ConfigPath, NULL or ""
   for none: FILE or FILE#CLASS. Otherwise $CAISSON_CONFIG or CONFIG_FILE. */
struct config_place {
    char *file;
    char *class_name; /* NULL: not said */
    bool optional;    /* a missing file means the built-in defaults */
    bool foreign;     /* ConfigPath is Kata's own TOML file and was left aside */
};
void config_place_find(const char *given, struct config_place *ret_place);
void config_place_clear(struct config_place *place);

struct error *config_load(const char *file, bool optional, struct config **ret_config);
/* For tests: one file's text under a name. */
struct error *config_parse(const char *name, const char *text, size_t length, struct config **ret_config);
/* A class of the caller's own. NOT_FOUND names the classes that there are. */
struct error *config_class(const struct config *config, const char *name, struct class **ret_class);
/* Takes NULL. */
void config_free(struct config *config);

DEFINE_CLEANUP(struct config *, config_free);
#define _cleanup_config_ _cleanup_(config_free)
