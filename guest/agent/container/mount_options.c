/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/mount_options.h"

#include "base/strv.h"

#include <string.h>
#include <sys/mount.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256 /* linux/mount.h, since 5.10 */
#endif
#ifndef MS_LAZYTIME
#define MS_LAZYTIME (1 << 25)
#endif

#define ATIME_FLAGS (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)
#define ATIME_ATTRIBUTES MOUNT_ATTR__ATIME

enum option_kind { OPTION_SET, OPTION_CLEAR, OPTION_PROPAGATION, OPTION_RECURSIVE, OPTION_COPY_UP };

struct option {
    const char *name;
    enum option_kind kind;
    unsigned long flags; /* MS_* to set, to clear, or the propagation */
    uint64_t set;        /* MOUNT_ATTR_* of a recursive option */
    uint64_t clear;
};

#define SET(name, flags)              \
    {                                 \
        name, OPTION_SET, flags, 0, 0 \
    }
#define CLEAR(name, flags)              \
    {                                   \
        name, OPTION_CLEAR, flags, 0, 0 \
    }
#define PROPAGATION(name, flags)              \
    {                                         \
        name, OPTION_PROPAGATION, flags, 0, 0 \
    }
#define RECURSIVE(name, set, clear)           \
    {                                         \
        name, OPTION_RECURSIVE, 0, set, clear \
    }

static const struct option options_table[] = {
    SET("async", 0),
    CLEAR("atime", MS_NOATIME),
    SET("bind", MS_BIND),
    SET("defaults", 0),
    CLEAR("dev", MS_NODEV),
    CLEAR("diratime", MS_NODIRATIME),
    SET("dirsync", MS_DIRSYNC),
    CLEAR("exec", MS_NOEXEC),
    SET("iversion", MS_I_VERSION),
    SET("lazytime", MS_LAZYTIME),
    CLEAR("loud", MS_SILENT),
    SET("mand", MS_MANDLOCK),
    SET("noatime", MS_NOATIME),
    SET("nodev", MS_NODEV),
    SET("nodiratime", MS_NODIRATIME),
    SET("noexec", MS_NOEXEC),
    CLEAR("noiversion", MS_I_VERSION),
    CLEAR("nolazytime", MS_LAZYTIME),
    CLEAR("nomand", MS_MANDLOCK),
    CLEAR("norelatime", MS_RELATIME),
    CLEAR("nostrictatime", MS_STRICTATIME),
    SET("nosuid", MS_NOSUID),
    SET("nosymfollow", MS_NOSYMFOLLOW),
    PROPAGATION("private", MS_PRIVATE),
    SET("rbind", MS_BIND | MS_REC),
    SET("relatime", MS_RELATIME),
    SET("remount", MS_REMOUNT),
    SET("ro", MS_RDONLY),
    PROPAGATION("rprivate", MS_PRIVATE | MS_REC),
    PROPAGATION("rshared", MS_SHARED | MS_REC),
    PROPAGATION("rslave", MS_SLAVE | MS_REC),
    PROPAGATION("runbindable", MS_UNBINDABLE | MS_REC),
    CLEAR("rw", MS_RDONLY),
    PROPAGATION("shared", MS_SHARED),
    SET("silent", MS_SILENT),
    PROPAGATION("slave", MS_SLAVE),
    SET("strictatime", MS_STRICTATIME),
    CLEAR("suid", MS_NOSUID),
    SET("sync", MS_SYNCHRONOUS),
    CLEAR("symfollow", MS_NOSYMFOLLOW),
    {"tmpcopyup", OPTION_COPY_UP, 0, 0, 0},
    PROPAGATION("unbindable", MS_UNBINDABLE),
    RECURSIVE("ratime", 0, MOUNT_ATTR_NOATIME),
    RECURSIVE("rdev", 0, MOUNT_ATTR_NODEV),
    RECURSIVE("rdiratime", 0, MOUNT_ATTR_NODIRATIME),
    RECURSIVE("rexec", 0, MOUNT_ATTR_NOEXEC),
    RECURSIVE("rnoatime", MOUNT_ATTR_NOATIME, ATIME_ATTRIBUTES),
    RECURSIVE("rnodev", MOUNT_ATTR_NODEV, 0),
    RECURSIVE("rnodiratime", MOUNT_ATTR_NODIRATIME, 0),
    RECURSIVE("rnoexec", MOUNT_ATTR_NOEXEC, 0),
    RECURSIVE("rnorelatime", 0, ATIME_ATTRIBUTES),
    RECURSIVE("rnostrictatime", 0, ATIME_ATTRIBUTES),
    RECURSIVE("rnosuid", MOUNT_ATTR_NOSUID, 0),
    RECURSIVE("rnosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0),
    RECURSIVE("rrelatime", MOUNT_ATTR_RELATIME, ATIME_ATTRIBUTES),
    RECURSIVE("rro", MOUNT_ATTR_RDONLY, 0),
    RECURSIVE("rrw", 0, MOUNT_ATTR_RDONLY),
    RECURSIVE("rstrictatime", MOUNT_ATTR_STRICTATIME, ATIME_ATTRIBUTES),
    RECURSIVE("rsuid", 0, MOUNT_ATTR_NOSUID),
    RECURSIVE("rsymfollow", 0, MOUNT_ATTR_NOSYMFOLLOW),
};

static const struct option *option_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(options_table); i++)
        if (strcmp(options_table[i].name, name) == 0)
            return &options_table[i];
    return NULL;
}

static struct error *option_apply(struct mount_options *options, const struct option *option)
{
    switch (option->kind) {
    case OPTION_SET:
        options->flags |= option->flags;
        options->cleared &= ~option->flags;
        break;
    case OPTION_CLEAR:
        options->flags &= ~option->flags;
        options->cleared |= option->flags;
        break;
    case OPTION_PROPAGATION:
        if (options->propagation_count == MOUNT_PROPAGATIONS_MAX)
            return error_new(ERROR_INVALID_ARGUMENT, "more than %d propagation options on one mount",
                MOUNT_PROPAGATIONS_MAX);
        options->propagation[options->propagation_count++] = option->flags;
        break;
    case OPTION_RECURSIVE:
        options->recursive_set = (options->recursive_set & ~option->clear) | option->set;
        options->recursive_clear = (options->recursive_clear & ~option->set) | option->clear;
        break;
    case OPTION_COPY_UP:
        options->copy_up = true;
        break;
    }
    return NULL;
}

struct error *mount_options_parse(const char *const *words, size_t count, struct mount_options *ret_options)
{
    _cleanup_mount_options_ struct mount_options options = {0};
    _cleanup_strv_ char **data = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct option *option = option_find(words[i]);
        if (option)
            TRY(option_apply(&options, option));
        else if (*words[i])
            strv_append(&data, words[i]);
    }
    if (data)
        options.data = strv_join(data, ",");
    *ret_options = options;
    options.data = NULL;
    return NULL;
}

void mount_options_clear(struct mount_options *options)
{
    free(options->data);
    options->data = NULL;
}

static uint64_t attributes_of(unsigned long flags)
{
    static const struct {
        unsigned long flag;
        uint64_t attribute;
    } pairs[] = {
        {MS_RDONLY, MOUNT_ATTR_RDONLY},
        {MS_NOSUID, MOUNT_ATTR_NOSUID},
        {MS_NODEV, MOUNT_ATTR_NODEV},
        {MS_NOEXEC, MOUNT_ATTR_NOEXEC},
        {MS_NODIRATIME, MOUNT_ATTR_NODIRATIME},
        {MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
        {MS_NOATIME, MOUNT_ATTR_NOATIME},
        {MS_STRICTATIME, MOUNT_ATTR_STRICTATIME},
    };
    uint64_t attributes = 0;
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
        if (flags & pairs[i].flag)
            attributes |= pairs[i].attribute;
    return attributes;
}

void mount_options_attributes(const struct mount_options *options, uint64_t *ret_set, uint64_t *ret_clear)
{
    uint64_t set = attributes_of(options->flags);
    uint64_t clear = attributes_of(options->cleared) & ~(uint64_t)ATIME_ATTRIBUTES;
    /* The three access time modes are one field, which the kernel wants cleared as a whole. */
    if ((options->flags | options->cleared) & ATIME_FLAGS)
        clear |= ATIME_ATTRIBUTES;
    *ret_set = set;
    *ret_clear = clear;
}
