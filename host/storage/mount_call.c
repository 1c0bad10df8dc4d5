/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/mount_call.h"

#include "base/strv.h"

#include <limits.h>
#include <string.h>
#include <sys/mount.h>

/* mount(2) takes one page of data and would cut off the rest without a word. */
#define DATA_MAX 4095
/* From here on an overlay's lower directories are named relative to the one they have in common. */
#define DATA_LONG 3584

#define CONTAINERD_OPTION "X-containerd."
#define DIRECTORY_OPTION CONTAINERD_OPTION "mkdir.path="

/* ---- types and options ---- */

const char *mount_type(const char *type)
{
    const char *slash = strrchr(type, '/');
    return slash ? slash + 1 : type;
}

bool mount_type_has(const char *type, const char *transformation)
{
    size_t length = strlen(transformation);
    for (const char *slash; (slash = strchr(type, '/')); type = slash + 1)
        if ((size_t)(slash - type) == length && strncmp(type, transformation, length) == 0)
            return true;
    return false;
}

bool mount_has_option(const struct storage_source *source, const char *option)
{
    for (size_t i = 0; i < source->option_count; i++)
        if (strcmp(source->options[i], option) == 0)
            return true;
    return false;
}

const char *mount_option_value(const struct storage_source *source, const char *prefix)
{
    for (size_t i = 0; i < source->option_count; i++)
        if (strncmp(source->options[i], prefix, strlen(prefix)) == 0)
            return source->options[i] + strlen(prefix);
    return NULL;
}

/* ---- templates ---- */

struct template
{
    const struct storage_source *sources;
    char *const *places;
    size_t count; /* of mounts that may be spoken of */
    char *text;
};

static void append(struct template *template, const char *text, size_t length)
{
    char *longer = must_printf("%s%.*s", template->text, (int)length, text);
    free(template->text);
    template->text = longer;
}

static void append_overlay(struct template *template, unsigned first, unsigned last)
{
    for (unsigned i = first;; i += first < last ? 1 : -1u) {
        append(template, template->places[i], strlen(template->places[i]));
        if (i == last)
            return;
        append(template, ":", 1);
    }
}

/* One expression, without its braces. */
static bool fill(struct template *template, const char *expression)
{
    char word[16];
    unsigned first = 0, last = 0;
    int end = 0;
    int fields = sscanf(expression, " %15[a-z] %u %n%u %n", word, &first, &end, &last, &end);
    bool one = fields == 2, two = fields == 3;
    if ((!one && !two) || expression[end] != '\0' || first >= template->count || last >= template->count)
        return false;
    if (two && strcmp(word, "overlay") == 0)
        append_overlay(template, first, last);
    else if (one && (strcmp(word, "mount") == 0 || strcmp(word, "target") == 0))
        append(template, template->places[first], strlen(template->places[first]));
    else if (one && strcmp(word, "source") == 0)
        append(template, template->sources[first].source, strlen(template->sources[first].source));
    else
        return false;
    return true;
}

struct error *mount_template(const char *text, const struct storage_source *sources, size_t index,
    char *const *places, char **ret_text)
{
    struct template template = {.sources = sources, .places = places, .count = index, .text = must_copy("")};
    _cleanup_free_ char *whole = must_copy(text);
    char *rest = whole;
    for (char *open; (open = strstr(rest, "{{"));) {
        char *close = strstr(open, "}}");
        append(&template, rest, (size_t)(open - rest));
        if (close)
            *close = '\0';
        if (!close || !fill(&template, open + 2)) {
            free(template.text);
            return error_new(ERROR_UNIMPLEMENTED, "the mount option \"%s\" is not understood", text);
        }
        rest = close + 2;
    }
    append(&template, rest, strlen(rest));
    *ret_text = template.text;
    return NULL;
}

/* ---- one mount ---- */

static const struct {
    const char *name;
    bool clear;
    unsigned long flag;
} flag_names[] = {
    {"async", true, MS_SYNCHRONOUS},
    {"atime", true, MS_NOATIME},
    {"bind", false, MS_BIND},
    {"defaults", false, 0},
    {"dev", true, MS_NODEV},
    {"diratime", true, MS_NODIRATIME},
    {"dirsync", false, MS_DIRSYNC},
    {"exec", true, MS_NOEXEC},
    {"mand", false, MS_MANDLOCK},
    {"noatime", false, MS_NOATIME},
    {"nodev", false, MS_NODEV},
    {"nodiratime", false, MS_NODIRATIME},
    {"noexec", false, MS_NOEXEC},
    {"nomand", true, MS_MANDLOCK},
    {"norelatime", true, MS_RELATIME},
    {"nostrictatime", true, MS_STRICTATIME},
    {"nosuid", false, MS_NOSUID},
    {"rbind", false, MS_BIND | MS_REC},
    {"relatime", false, MS_RELATIME},
    {"ro", false, MS_RDONLY},
    {"rw", true, MS_RDONLY},
    {"strictatime", false, MS_STRICTATIME},
    {"suid", true, MS_NOSUID},
    {"sync", false, MS_SYNCHRONOUS},
};

static bool read_flag(struct mount_call *call, const char *option)
{
    for (size_t i = 0; i < ARRAY_SIZE(flag_names); i++) {
        if (strcmp(flag_names[i].name, option) != 0)
            continue;
        if (flag_names[i].clear)
            call->flags &= ~flag_names[i].flag;
        else
            call->flags |= flag_names[i].flag;
        return true;
    }
    return false;
}

/* PATH[:MODE[:UID:GID]] */
static struct error *read_directory(struct mount_call *call, const char *value)
{
    _cleanup_strv_ char **fields = strv_split(value, ':');
    size_t count = strv_length(fields);
    struct mount_directory directory = {.mode = 0700, .uid = (uid_t)-1, .gid = (gid_t)-1};
    bool valid = count == 1 || count == 2 || count == 4;
    char *mode_end = NULL, *uid_end = NULL, *gid_end = NULL;
    if (valid && count > 1) {
        directory.mode = (mode_t)strtoul(fields[1], &mode_end, 8) & 07777;
        valid = *fields[1] && !*mode_end;
    }
    if (valid && count > 2) {
        directory.uid = (uid_t)strtoul(fields[2], &uid_end, 10);
        directory.gid = (gid_t)strtoul(fields[3], &gid_end, 10);
        valid = !*uid_end && !*gid_end;
    }
    if (!valid || fields[0][0] != '/')
        return error_new(ERROR_INVALID_ARGUMENT, "the mount option \"" DIRECTORY_OPTION "%s\"", value);
    directory.path = must_copy(fields[0]);
    call->directories = must_resize(call->directories, call->directory_count + 1, sizeof(*call->directories));
    call->directories[call->directory_count++] = directory;
    return NULL;
}

/* Those that would change what the container sees, and that nothing here does. */
static struct error *refuse_option(const char *option)
{
    static const struct {
        const char *prefix, *what;
    } refused[] = {
        {"uidmap=", "a root file system with shifted user ids"},
        {"gidmap=", "a root file system with shifted group ids"},
        {CONTAINERD_OPTION "dmverity", "a root file system that is verified by dm-verity"},
        {"remount", "remounting"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        if (strncmp(option, refused[i].prefix, strlen(refused[i].prefix)) == 0)
            return error_new(
                ERROR_UNIMPLEMENTED, "%s is not supported (mount option %s)", refused[i].what, option);
    return NULL;
}

static struct error *read_option(struct mount_call *call, const char *option, char ***data)
{
    TRY(refuse_option(option));
    if (strncmp(option, DIRECTORY_OPTION, strlen(DIRECTORY_OPTION)) == 0)
        return read_directory(call, option + strlen(DIRECTORY_OPTION));
    if (strncmp(option, CONTAINERD_OPTION, strlen(CONTAINERD_OPTION)) == 0 || read_flag(call, option))
        return NULL;
    if (strcmp(option, "loop") == 0)
        call->loop = true;
    else
        strv_append(data, option);
    return NULL;
}

/* ---- long lists of lower directories ---- */

/* Up to and with the last slash that all of them share. */
static size_t common_directory(char *const *paths)
{
    size_t length = strlen(paths[0]);
    STRV_FOREACH (path, paths) {
        size_t same = 0;
        while (same < length && (*path)[same] == paths[0][same])
            same++;
        length = same;
    }
    while (length > 0 && paths[0][length - 1] != '/')
        length--;
    return length;
}

/* As containerd does. Upper and work directory are absolute and may stay so. */
static void shorten_lower(struct mount_call *call, char **data)
{
    for (char **option = data; option && *option; option++) {
        if (strncmp(*option, "lowerdir=", 9) != 0)
            continue;
        _cleanup_strv_ char **paths = strv_split(*option + 9, ':');
        size_t common = common_directory(paths);
        if (common <= 1 || strv_length(paths) < 2)
            return;
        call->base = must_copy_length(paths[0], common);
        _cleanup_strv_ char **shorter = NULL;
        STRV_FOREACH (path, paths)
            strv_append(&shorter, (*path)[common] ? *path + common : ".");
        _cleanup_free_ char *joined = strv_join(shorter, ":");
        free(*option);
        *option = must_printf("lowerdir=%s", joined);
        return;
    }
}

static struct error *join_data(struct mount_call *call, char ***data)
{
    if (!*data)
        return NULL;
    call->data = strv_join(*data, ",");
    if (strcmp(call->type, "overlay") == 0 && strlen(call->data) >= DATA_LONG) {
        shorten_lower(call, *data);
        free(call->data);
        call->data = strv_join(*data, ",");
    }
    if (strlen(call->data) > DATA_MAX)
        return error_new(ERROR_RESOURCE_EXHAUSTED,
            "the mount options of the root file system have %zu bytes; mount(2) takes %d", strlen(call->data),
            DATA_MAX);
    return NULL;
}

/* ---- the whole ---- */

static struct error *check_type(const struct storage_source *source)
{
    static const char *const known[] = {"format", "mkdir", "mkfs"};
    _cleanup_strv_ char **parts = strv_split(source->type, '/');
    for (char **part = parts; part[1]; part++) {
        bool found = false;
        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
            found |= strcmp(*part, known[i]) == 0;
        if (!found)
            return error_new(ERROR_UNIMPLEMENTED, "a root file system of type %s", source->type);
    }
    if (strncmp(source->type, "fuse", 4) == 0)
        return error_new(ERROR_UNIMPLEMENTED,
            "a root file system of type %s needs a program that serves it; use another snapshotter",
            source->type);
    return NULL;
}

static struct error *read_call(
    const struct storage_source *sources, size_t index, char *const *places, struct mount_call *call)
{
    const struct storage_source *source = &sources[index];
    bool format = mount_type_has(source->type, "format");
    _cleanup_strv_ char **data = NULL;
    TRY(check_type(source));
    call->type = must_copy(mount_type(source->type));
    if (format)
        TRY(mount_template(source->source, sources, index, places, &call->source));
    else
        call->source = must_copy(source->source);
    if (source->target && *source->target)
        call->target = must_copy(source->target);
    /* containerd's own bind mounts say so in their options; others' may do it by type only. */
    if (strcmp(call->type, "bind") == 0 || strcmp(call->type, "rbind") == 0)
        call->flags |= MS_BIND;
    for (size_t i = 0; i < source->option_count; i++) {
        _cleanup_free_ char *option = NULL;
        if (format)
            TRY(mount_template(source->options[i], sources, index, places, &option));
        TRY(read_option(call, option ? option : source->options[i], &data));
    }
    return join_data(call, &data);
}

struct error *mount_call_read(
    const struct storage_source *sources, size_t index, char *const *places, struct mount_call *ret_call)
{
    struct mount_call call = {0};
    struct error *error = read_call(sources, index, places, &call);
    if (error)
        mount_call_clear(&call);
    else
        *ret_call = call;
    return error;
}

void mount_call_clear(struct mount_call *call)
{
    for (size_t i = 0; i < call->directory_count; i++)
        free(call->directories[i].path);
    free(call->directories);
    free(call->type);
    free(call->source);
    free(call->target);
    free(call->data);
    free(call->base);
    *call = (struct mount_call){0};
}
