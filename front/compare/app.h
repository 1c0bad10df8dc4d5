/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real web application for the HTTP measures: any image with a port that it exposes. It lies in the same
 * store that Caisson runs from; for the other runtimes that store's file system is mounted, read-only, where
 * only this process and its children see it.
 */
#pragma once

#include "compare/subject.h"
#include "image/image.h"

/* Of the image in that store. */
#define APP_NAME "app"

struct app {
    const char *source; /* as the user gave it */
    struct image *image;
    uint16_t port;    /* that it listens at */
    char *rootfs;     /* where it is mounted; NULL: it could not be */
    char *unmounted;  /* why not */
    char *unimported; /* why containerd has it not; NULL: it has it, or is not there */
};

/* The first exposed port of TCP; INVALID_ARGUMENT where there is none. Pure. */
struct error *app_port(char *const *exposed_ports, uint16_t *ret_port);
/* Loads the image into the store below workplace->directory and mounts it. */
struct error *app_open(const struct workplace *workplace, const char *source, struct app *ret_app);
void app_close(struct app *app);

/* Pure: config.json for an OCI runtime, on the host's network. */
struct error *app_config(const struct workplace *workplace, json_t **ret_config);
