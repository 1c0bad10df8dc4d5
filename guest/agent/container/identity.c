/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/identity.h"

#include "base/fd.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

/* The largest id: the one above it means "leave as it is" in the kernel's calls. */
#define ID_MAX (UINT32_MAX - 1)
#define FIELDS_MAX 7

/* A part of a text that is not ours to cut up. */
struct span {
    const char *start;
    size_t length;
};

void identity_clear(struct identity *identity)
{
    free(identity->groups);
    free(identity->home);
    *identity = (struct identity){0};
}

static bool span_is(struct span span, const char *text)
{
    return strlen(text) == span.length && memcmp(span.start, text, span.length) == 0;
}

static bool span_id(struct span span, uint32_t *ret_id)
{
    uint64_t id = 0;
    if (span.length == 0 || span.length > 10)
        return false;
    for (size_t i = 0; i < span.length; i++) {
        if (span.start[i] < '0' || span.start[i] > '9')
            return false;
        id = id * 10 + (uint64_t)(span.start[i] - '0');
    }
    if (id > ID_MAX)
        return false;
    *ret_id = (uint32_t)id;
    return true;
}

/* Cuts at the next separator; false at the end of the text. */
static bool next_span(const char **text, const char *end, char separator, struct span *ret_span)
{
    if (*text > end)
        return false;
    const char *stop = memchr(*text, separator, (size_t)(end - *text));
    if (!stop)
        stop = end;
    *ret_span = (struct span){.start = *text, .length = (size_t)(stop - *text)};
    *text = stop + 1;
    return true;
}

/* One line's fields; false where there are fewer than wanted. */
static bool split_fields(struct span line, struct span fields[FIELDS_MAX], size_t wanted)
{
    const char *text = line.start;
    size_t count = 0;
    while (count < wanted && next_span(&text, line.start + line.length, ':', &fields[count]))
        count++;
    return count == wanted;
}

struct passwd_entry {
    struct span name;
    uint32_t uid;
    uint32_t gid;
    struct span home;
};

/* The first entry with that name, or (name is NULL) that uid. */
static bool find_user(const char *passwd, const char *name, uint32_t uid, struct passwd_entry *ret_entry)
{
    const char *text = passwd;
    const char *end = passwd ? passwd + strlen(passwd) : NULL;
    struct span line;
    while (text && next_span(&text, end, '\n', &line)) {
        struct span fields[FIELDS_MAX];
        struct passwd_entry entry;
        if (!split_fields(line, fields, 6) || !span_id(fields[2], &entry.uid) ||
            !span_id(fields[3], &entry.gid))
            continue;
        if (name ? !span_is(fields[0], name) : entry.uid != uid)
            continue;
        entry.name = fields[0];
        entry.home = fields[5];
        *ret_entry = entry;
        return true;
    }
    return false;
}

static bool has_member(struct span members, struct span name)
{
    const char *text = members.start;
    struct span member;
    while (next_span(&text, members.start + members.length, ',', &member))
        if (member.length == name.length && memcmp(member.start, name.start, name.length) == 0)
            return true;
    return false;
}

static struct error *add_group(struct identity *identity, uint32_t gid)
{
    for (size_t i = 0; i < identity->group_count; i++)
        if (identity->groups[i] == gid)
            return NULL;
    if (identity->group_count == IDENTITY_GROUPS_MAX)
        return error_new(ERROR_OUT_OF_RANGE, "the user is in more than %d groups", IDENTITY_GROUPS_MAX);
    identity->groups = must_resize(identity->groups, identity->group_count + 1, sizeof(gid_t));
    identity->groups[identity->group_count++] = gid;
    return NULL;
}

static struct error *add_groups_of(struct identity *identity, const char *group, struct span name)
{
    const char *text = group;
    const char *end = group ? group + strlen(group) : NULL;
    struct span line;
    while (text && next_span(&text, end, '\n', &line)) {
        struct span fields[FIELDS_MAX];
        uint32_t gid;
        if (split_fields(line, fields, 4) && span_id(fields[2], &gid) && has_member(fields[3], name))
            TRY(add_group(identity, gid));
    }
    return NULL;
}

static struct error *find_group(const char *group, const char *name, gid_t *ret_gid)
{
    const char *text = group;
    const char *end = group ? group + strlen(group) : NULL;
    struct span line;
    while (text && next_span(&text, end, '\n', &line)) {
        struct span fields[FIELDS_MAX];
        uint32_t gid;
        if (split_fields(line, fields, 3) && span_id(fields[2], &gid) && span_is(fields[0], name)) {
            *ret_gid = gid;
            return NULL;
        }
    }
    uint32_t gid;
    if (!span_id((struct span){name, strlen(name)}, &gid))
        return error_new(ERROR_NOT_FOUND, "no group \"%.100s\" in the container's /etc/group", name);
    *ret_gid = gid;
    return NULL;
}

/* A name that happens to be a number is looked up as a name first, as other container tools do. */
static struct error *resolve_name(struct identity *identity, const char *name, const char *group_name,
    const char *passwd, const char *group)
{
    struct passwd_entry entry;
    uint32_t uid = 0;
    bool numeric = span_id((struct span){name, strlen(name)}, &uid);
    bool found = find_user(passwd, name, 0, &entry) || (numeric && find_user(passwd, NULL, uid, &entry));
    if (!found && !numeric)
        return error_new(ERROR_NOT_FOUND, "no user \"%.100s\" in the container's /etc/passwd", name);
    identity->uid = found ? entry.uid : uid;
    identity->gid = found ? entry.gid : 0;
    if (found)
        identity->home = must_copy_length(entry.home.start, entry.home.length);
    if (group_name)
        return find_group(group, group_name, &identity->gid);
    return found ? add_groups_of(identity, group, entry.name) : NULL;
}

static struct error *resolve(
    const Grpc__User *user, const char *passwd, const char *group, struct identity *identity)
{
    identity->uid = user->uid;
    identity->gid = user->gid;
    if (*user->username) {
        _cleanup_free_ char *name = must_copy(user->username);
        char *colon = strchr(name, ':');
        if (colon)
            *colon = '\0';
        TRY(resolve_name(identity, name, colon && colon[1] ? colon + 1 : NULL, passwd, group));
    } else {
        struct passwd_entry entry;
        if (find_user(passwd, NULL, user->uid, &entry))
            identity->home = must_copy_length(entry.home.start, entry.home.length);
    }
    for (size_t i = 0; i < user->n_additional_gids; i++)
        TRY(add_group(identity, user->additional_gids[i]));
    return NULL;
}

struct error *identity_resolve(
    const Grpc__User *user, const char *passwd, const char *group, struct identity *ret_identity)
{
    _cleanup_identity_ struct identity identity = {0};
    TRY(resolve(user, passwd, group, &identity));
    *ret_identity = identity;
    identity = (struct identity){0};
    return NULL;
}

/* Leaves NULL where there is no such file. A fifo there must not stop us; what is no file says nothing. */
static struct error *read_optional(const char *path, char **ret_text)
{
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ENXIO ? NULL : error_errno(errno, "%s", path);
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_errno(errno, "%s", path);
    if (!S_ISREG(status.st_mode))
        return NULL;
    return error_wrap(fd_read_all(fd, IDENTITY_FILE_MAX, ret_text, NULL), "%s", path);
}

struct error *identity_look_up(const Grpc__User *user, struct identity *ret_identity)
{
    _cleanup_free_ char *passwd = NULL;
    _cleanup_free_ char *group = NULL;
    TRY(read_optional("/etc/passwd", &passwd));
    if (*user->username)
        TRY(read_optional("/etc/group", &group));
    return identity_resolve(user, passwd, group, ret_identity);
}
