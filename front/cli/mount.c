/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/mount.h"

#include "base/path.h"
#include "base/strv.h"

#include <string.h>
#include <sys/stat.h>

/* docker's defaults for --tmpfs. */
static const char *const tmpfs_options[] = {"nosuid", "nodev", "noexec"};

static void request_clear(struct mount_request *mount)
{
    free(mount->source);
    free(mount->target);
    strv_free(mount->options);
}

#define _cleanup_request_ __attribute__((cleanup(request_clear)))

void mount_list_clear(struct mount_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        request_clear(&list->mounts[i]);
    free(list->mounts);
    *list = (struct mount_list){0};
}

/* Slashes once, none at the end; "." and ".." are refused, since the container's links could bend them. */
static struct error *clean_target(const char *text, char **ret_target)
{
    _cleanup_strv_ char **parts = strv_split(text, '/');
    _cleanup_free_ char *target = must_copy("");

    if (text[0] != '/')
        return error_new(ERROR_INVALID_ARGUMENT, "\"%s\" is not an absolute path in the container", text);
    STRV_FOREACH (part, parts) {
        if (!**part)
            continue;
        if (!strcmp(*part, ".") || !strcmp(*part, ".."))
            return error_new(
                ERROR_INVALID_ARGUMENT, "a mount on \"%s\": \"%s\" in it is refused", text, *part);
        char *longer = must_printf("%s/%s", target, *part);
        free(target);
        target = longer;
    }
    if (!*target)
        return error_new(ERROR_INVALID_ARGUMENT, "nothing can be mounted on / of the container");
    *ret_target = TAKE_PTR(target);
    return NULL;
}

static struct mount_request *find_target(const struct mount_list *list, const char *target)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->mounts[i].target, target))
            return &list->mounts[i];
    return NULL;
}

/* Takes what is in the request. */
static struct error *add(struct mount_list *list, struct mount_request *mount)
{
    if (find_target(list, mount->target))
        return error_new(ERROR_INVALID_ARGUMENT, "two mounts on %s", mount->target);
    list->mounts = must_resize(list->mounts, list->count + 1, sizeof(*list->mounts));
    list->mounts[list->count++] = *mount;
    *mount = (struct mount_request){0};
    return NULL;
}

static void set_source(struct mount_request *mount, const char *source)
{
    bool path = source[0] == '/' || source[0] == '.';

    mount->kind = path ? MOUNT_BIND : MOUNT_VOLUME;
    mount->source = must_copy(source);
}

/* ---- -v SOURCE:TARGET[:OPTIONS], or TARGET alone ---- */

static struct error *add_volume_option(struct mount_request *mount, const char *option)
{
    static const char *const passed[] = {"ro", "rw", "rprivate", "private", "rslave", "slave", "rshared",
        "shared", "nosuid", "nodev", "noexec"};

    /* Labels and copying are other runtimes' matters; docker's users write them anyway. */
    if (!strcmp(option, "z") || !strcmp(option, "Z") || !strcmp(option, "nocopy") ||
        !strcmp(option, "delegated") || !strcmp(option, "cached") || !strcmp(option, "consistent"))
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
        if (!strcmp(passed[i], option)) {
            strv_append(&mount->options, option);
            return NULL;
        }
    return error_new(ERROR_INVALID_ARGUMENT, "a volume has no option \"%s\"", option);
}

static struct error *parse_volume(const char *text, struct mount_request *mount)
{
    _cleanup_strv_ char **parts = strv_split(text, ':');
    size_t count = strv_length(parts);

    if (count > 3 || !*parts[0])
        return error_new(ERROR_INVALID_ARGUMENT, "-v %s: it is SOURCE:PATH, SOURCE:PATH:ro or PATH", text);
    mount->kind = MOUNT_VOLUME;
    mount->create_source = true;
    if (count > 1)
        set_source(mount, parts[0]);
    TRY(clean_target(parts[count > 1 ? 1 : 0], &mount->target));
    if (count < 3)
        return NULL;
    _cleanup_strv_ char **options = strv_split(parts[2], ',');
    STRV_FOREACH (option, options)
        TRY(add_volume_option(mount, *option));
    return NULL;
}

/* ---- --mount type=...,source=...,target=... ---- */

static struct error *set_kind(struct mount_request *mount, const char *value)
{
    static const char *const kinds[] = {
        [MOUNT_BIND] = "bind", [MOUNT_VOLUME] = "volume", [MOUNT_TMPFS] = "tmpfs"};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (!strcmp(kinds[i], value)) {
            mount->kind = (enum mount_kind)i;
            return NULL;
        }
    return error_new(ERROR_INVALID_ARGUMENT, "--mount: type is bind, volume or tmpfs, not \"%s\"", value);
}

static bool is_one_of(const char *key, const char *one, const char *two, const char *three)
{
    return !strcmp(key, one) || !strcmp(key, two) || !strcmp(key, three);
}

static struct error *set_member(struct mount_request *mount, const char *key, const char *value)
{
    if (!strcmp(key, "type"))
        return set_kind(mount, value);
    if (is_one_of(key, "source", "src", "source")) {
        free(mount->source);
        mount->source = must_copy(value);
    } else if (is_one_of(key, "target", "destination", "dst")) {
        free(TAKE_PTR(mount->target));
        return clean_target(value, &mount->target);
    } else if (is_one_of(key, "readonly", "ro", "read-only")) {
        if (strcmp(value, "false") && strcmp(value, "0"))
            strv_append(&mount->options, "ro");
    } else if (!strcmp(key, "bind-propagation"))
        strv_append(&mount->options, value);
    else if (!strcmp(key, "tmpfs-size"))
        strv_append_printf(&mount->options, "size=%s", value);
    else if (!strcmp(key, "tmpfs-mode"))
        strv_append_printf(&mount->options, "mode=%s", value);
    else
        return error_new(ERROR_INVALID_ARGUMENT, "--mount: there is no key \"%s\"", key);
    return NULL;
}

static struct error *check_mount(const char *text, struct mount_request *mount)
{
    if (!mount->target)
        return error_new(ERROR_INVALID_ARGUMENT, "--mount %s: target= is missing", text);
    if (mount->kind == MOUNT_BIND && !mount->source)
        return error_new(ERROR_INVALID_ARGUMENT, "--mount %s: source= is missing", text);
    if (mount->kind == MOUNT_TMPFS && mount->source)
        return error_new(ERROR_INVALID_ARGUMENT, "--mount %s: a tmpfs has no source", text);
    return NULL;
}

static struct error *parse_mount(const char *text, struct mount_request *mount)
{
    _cleanup_strv_ char **members = strv_split(text, ',');

    mount->kind = MOUNT_VOLUME;
    STRV_FOREACH (member, members) {
        char *value = strchr(*member, '=');
        if (value)
            *value++ = '\0';
        TRY(set_member(mount, *member, value ?: ""));
    }
    return check_mount(text, mount);
}

/* ---- --tmpfs PATH[:OPTIONS] ---- */

static struct error *parse_tmpfs(const char *text, struct mount_request *mount)
{
    _cleanup_free_ char *path = must_copy_length(text, strcspn(text, ":"));
    const char *options = strchr(text, ':');

    mount->kind = MOUNT_TMPFS;
    TRY(clean_target(path, &mount->target));
    for (size_t i = 0; i < ARRAY_SIZE(tmpfs_options); i++)
        strv_append(&mount->options, tmpfs_options[i]);
    if (!options)
        return NULL;
    _cleanup_strv_ char **list = strv_split(options + 1, ',');
    strv_extend(&mount->options, list);
    return NULL;
}

/* ---- all of them ---- */

static struct error *parse_all(char *const *texts,
    struct error *(*parse)(const char *text, struct mount_request *mount), struct mount_list *list)
{
    STRV_FOREACH (text, texts) {
        _cleanup_request_ struct mount_request mount = {0};
        TRY(parse(*text, &mount));
        TRY(add(list, &mount));
    }
    return NULL;
}

/* In memory, beginning with what the image has there; a volume exists also where the image lacks the
   directory. Where --scratch put the writable layer on a disk, the volumes stay in it: what an image declares
   a volume tends to grow. */
static struct error *add_image_volumes(char *const *volumes, struct mount_list *list)
{
    STRV_FOREACH (volume, volumes) {
        _cleanup_request_ struct mount_request mount = {.kind = MOUNT_TMPFS};
        TRY(clean_target(*volume, &mount.target));
        strv_append(&mount.options, "tmpcopyup");
        if (!find_target(list, mount.target))
            TRY(add(list, &mount));
    }
    return NULL;
}

/* What is mounted on comes before what is mounted below it. */
static int by_target(const void *one, const void *other)
{
    return strcmp(((const struct mount_request *)one)->target, ((const struct mount_request *)other)->target);
}

struct error *mount_list_parse(
    const struct run_settings *settings, char *const *image_volumes, struct mount_list *ret_list)
{
    _cleanup_mount_list_ struct mount_list list = {0};

    TRY(parse_all(settings->volumes, parse_volume, &list));
    TRY(parse_all(settings->mounts, parse_mount, &list));
    TRY(parse_all(settings->temporary, parse_tmpfs, &list));
    if (settings->read_only || !settings->scratch)
        TRY(add_image_volumes(image_volumes, &list));
    if (list.count > 1)
        qsort(list.mounts, list.count, sizeof(*list.mounts), by_target);
    *ret_list = list;
    list = (struct mount_list){0};
    return NULL;
}

static void replace(char **text, char *by)
{
    free(*text);
    *text = by;
}

static struct error *prepare_bind(struct mount_request *mount)
{
    char *resolved;
    struct stat status;

    if (stat(mount->source, &status) < 0) {
        if (errno != ENOENT)
            return error_errno(errno, "cannot mount %s", mount->source);
        if (!mount->create_source)
            return error_new(
                ERROR_NOT_FOUND, "cannot mount %s: there is no such file or directory", mount->source);
        TRY(error_wrap(directory_create_all(mount->source, 0755), "the source of a volume is missing"));
    }
    TRY(path_resolve(mount->source, &resolved));
    replace(&mount->source, resolved);
    return NULL;
}

static struct error *prepare_volume(struct mount_request *mount, const char *data_directory,
    const char *container_id, size_t index, char ***ret_anonymous)
{
    _cleanup_free_ char *path = NULL;

    if (mount->source) {
        TRY(identifier_check("volume name", mount->source));
        path = must_printf("%s/volumes/%s", data_directory, mount->source);
    } else {
        path = must_printf("%s/volumes/%s-%zu", data_directory, container_id, index);
        strv_append(ret_anonymous, path);
    }
    TRY(directory_create_all(path, 0755));
    replace(&mount->source, TAKE_PTR(path));
    return NULL;
}

struct error *mount_list_prepare(
    struct mount_list *list, const char *data_directory, const char *container_id, char ***ret_anonymous)
{
    for (size_t i = 0; i < list->count; i++) {
        struct mount_request *mount = &list->mounts[i];
        if (mount->kind == MOUNT_BIND)
            TRY(prepare_bind(mount));
        else if (mount->kind == MOUNT_VOLUME)
            TRY(prepare_volume(mount, data_directory, container_id, i, ret_anonymous));
    }
    return NULL;
}

static json_t *options_to_json(const struct mount_request *mount)
{
    json_t *options = json_array();

    if (mount->kind != MOUNT_TMPFS) {
        json_array_append_new(options, json_string("rbind"));
        json_array_append_new(options, json_string("rprivate"));
    }
    STRV_FOREACH (option, mount->options) {
        json_array_append_new(options, json_string(*option));
    }
    return options;
}

void mount_list_to_json(const struct mount_list *list, json_t *mounts)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct mount_request *mount = &list->mounts[i];
        const char *type = mount->kind == MOUNT_TMPFS ? "tmpfs" : "bind";
        json_array_append_new(mounts,
            json_pack("{s:s, s:s, s:s, s:o}", "destination", mount->target, "type", type, "source",
                mount->kind == MOUNT_TMPFS ? "tmpfs" : mount->source, "options", options_to_json(mount)));
    }
}
