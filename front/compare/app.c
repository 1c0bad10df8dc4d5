/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/app.h"

#include "base/path.h"
#include "base/strv.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define MOUNT_LIMIT 20000

struct error *app_port(char *const *exposed_ports, uint16_t *ret_port)
{
    STRV_FOREACH (text, exposed_ports) {
        char *end;
        unsigned long port = strtoul(*text, &end, 10);
        if (port > 0 && port <= UINT16_MAX && (!*end || !strcmp(end, "/tcp"))) {
            *ret_port = (uint16_t)port;
            return NULL;
        }
    }
    return error_new(ERROR_INVALID_ARGUMENT,
        "--app: the image exposes no TCP port, so nobody knows where it listens; build it with EXPOSE");
}

/* Mounts of this process's own end with it, however it ends. The loop device goes with its mount. */
static struct error *mount_image(const struct workplace *workplace, const struct app *app, const char *place)
{
    char *const arguments[] = {(char[]){"mount"}, (char[]){"-t"}, app->image->rootfs_type, (char[]){"-o"},
        (char[]){"ro,loop"}, app->image->rootfs_path, (char *)(uintptr_t)place, NULL};
    struct launched launched = {0};
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return error_errno(errno, "taking mounts of our own");
    if (mkdir(place, 0755) < 0)
        return error_errno(errno, "making %s", place);
    TRY(launch_checked(workplace->launcher, arguments, MOUNT_LIMIT, &launched));
    launched_clear(&launched);
    return NULL;
}

static struct error *load(const struct workplace *workplace, const char *text, struct image **ret_image)
{
    _cleanup_image_store_ struct image_store *store = NULL;
    _cleanup_free_ char *data = must_printf("%s/caisson-data", workplace->directory);
    struct image_source source = {0};
    TRY(directory_create_all(data, 0700));
    TRY(image_store_open(data, &store));
    TRY(image_source_parse(text, &source));
    struct error *error = image_load(store, &source, APP_NAME, NULL, ret_image);
    image_source_clear(&source);
    return error;
}

struct error *app_open(const struct workplace *workplace, const char *source, struct app *ret_app)
{
    struct app app = {.source = source};
    _cleanup_free_ char *place = must_printf("%s/app", workplace->directory);
    TRY(load(workplace, source, &app.image));
    struct error *error = app_port(app.image->config.exposed_ports, &app.port);
    if (error) {
        image_free(app.image);
        return error;
    }
    error = mount_image(workplace, &app, place);
    if (error)
        app.unmounted = must_copy(error_message(error));
    else
        app.rootfs = TAKE_PTR(place);
    error_free(error);
    *ret_app = app;
    return NULL;
}

void app_close(struct app *app)
{
    if (app->rootfs)
        umount2(app->rootfs, MNT_DETACH);
    image_free(app->image);
    free(app->rootfs);
    free(app->unmounted);
    free(app->unimported);
    *app = (struct app){0};
}

/* ---- for OCI runtimes ---- */

static json_t *strings(char *const *vector)
{
    json_t *array = json_array();
    STRV_FOREACH (text, vector)
        json_array_append_new(array, json_string(*text));
    return array;
}

/* "1000", "1000:1000", "root"; other names would have to be looked up in the image. */
static struct error *user_ids(const char *user, unsigned *ret_uid, unsigned *ret_gid)
{
    unsigned uid = 0, gid = 0;
    char rest;
    bool is_root = !user || !*user || !strcmp(user, "root");
    if (!is_root && sscanf(user, "%u:%u%c", &uid, &gid, &rest) != 2 && sscanf(user, "%u%c", &uid, &rest) != 1)
        return error_new(
            ERROR_UNIMPLEMENTED, "the image runs as \"%s\"; only user ids by number are measured", user);
    *ret_uid = uid;
    *ret_gid = gid;
    return NULL;
}

static json_t *process(const struct workplace *workplace, unsigned uid, unsigned gid)
{
    const struct image_config *image = &workplace->app->image->config;
    char *const plain[] = {(char[]){"PATH=/usr/local/bin:/usr/bin:/bin"}, NULL};
    _cleanup_strv_ char **command = NULL;
    strv_extend(&command, image->entrypoint);
    strv_extend(&command, image->command);
    const char *directory =
        image->working_directory && *image->working_directory ? image->working_directory : "/";
    return json_pack("{s:b, s:{s:i, s:i}, s:o, s:o, s:s, s:b}", "terminal", 0, "user", "uid", (int)uid, "gid",
        (int)gid, "args", strings(command), "env", strings(image->environment ?: plain), "cwd", directory,
        "noNewPrivileges", 0);
}

struct error *app_config(const struct workplace *workplace, json_t **ret_config)
{
    unsigned uid, gid;
    char *const none[] = {NULL};
    const struct purpose purpose = {.command = none, .port = workplace->app->port};
    TRY(user_ids(workplace->app->image->config.user, &uid, &gid));
    json_t *config = bundle_config(workplace, &purpose), *own = process(workplace, uid, gid);
    json_object_update(json_object_get(config, "process"), own);
    json_decref(own);
    json_object_set_new(
        config, "root", json_pack("{s:s, s:b}", "path", workplace->app->rootfs, "readonly", 1));
    json_array_append_new(json_object_get(config, "mounts"),
        json_pack("{s:s, s:s, s:s, s:[s, s]}", "destination", "/tmp", "type", "tmpfs", "source", "tmpfs",
            "options", "nosuid", "mode=1777"));
    *ret_config = config;
    return NULL;
}
