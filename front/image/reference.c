/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of images: [DOMAIN/]PATH[:TAG][@DIGEST], the grammar of github.com/distribution/reference.
 */
#include "image/digest.h"
#include "image/image.h"

#include <string.h>

enum {
    NAME_BYTES_MAX = 255, /* of domain and path together */
    TAG_BYTES_MAX = 128,
};

#define LOWER_AND_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
#define LETTERS_AND_DIGITS LOWER_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

struct reference {
    char *domain; /* NULL: none */
    char *path;
    char *tag;    /* NULL: none */
    char *digest; /* NULL: none */
};

static void reference_clear(struct reference *reference)
{
    free(reference->domain);
    free(reference->path);
    free(reference->tag);
    free(reference->digest);
}

static struct error *refuse(const char *text, const char *reason)
{
    return error_new(ERROR_INVALID_ARGUMENT, "\"%.300s\" is no image name: %s", text, reason);
}

/* The first part is a domain when it could be no path of a hub: it has a dot or a port, or is localhost. */
static bool is_domain(const char *part, size_t length)
{
    return memchr(part, '.', length) || memchr(part, ':', length) ||
           (length == strlen("localhost") && strncmp(part, "localhost", length) == 0);
}

static bool separator_fits(const char *separator, size_t length)
{
    bool dashes = strspn(separator, "-") == length;
    return dashes || (length == 1 && (*separator == '.' || *separator == '_')) ||
           (length == 2 && strncmp(separator, "__", 2) == 0);
}

/* One part of a path: words of [a-z0-9] with one '.', one or two '_', or any number of '-' between them. */
static bool component_fits(const char *component, size_t length)
{
    const char *end = component + length;
    for (;;) {
        size_t word = strspn(component, LOWER_AND_DIGITS);
        if (word == 0)
            return false;
        component += word;
        if (component >= end)
            return component == end;
        size_t separator = strspn(component, "._-");
        if (!separator_fits(component, separator))
            return false;
        component += separator;
    }
}

static struct error *check_path(const char *text, const char *path)
{
    for (const char *component = path;;) {
        size_t length = strcspn(component, "/");
        if (!component_fits(component, length))
            return refuse(
                text, "a name is made of lower-case letters and digits, with single . _ or - between them");
        if (component[length] == '\0')
            return NULL;
        component += length + 1;
    }
}

static struct error *check_domain(const char *text, const char *domain)
{
    if (strspn(domain, LETTERS_AND_DIGITS ".-:[]") != strlen(domain) || *domain == '-' || *domain == '.')
        return refuse(text, "the registry is no host name");
    return NULL;
}

static struct error *check_tag(const char *text, const char *tag)
{
    size_t length = strlen(tag);
    if (length == 0 || length > TAG_BYTES_MAX || *tag == '.' || *tag == '-' ||
        strspn(tag, LETTERS_AND_DIGITS "_.-") != length)
        return refuse(text, "a tag has 1 to 128 letters, digits, \"_\", \".\" and \"-\"");
    return NULL;
}

static struct error *check(const char *text, const struct reference *reference)
{
    struct digest digest;
    if (strlen(reference->path) + (reference->domain ? strlen(reference->domain) + 1 : 0) > NAME_BYTES_MAX)
        return refuse(text, "it is longer than 255 bytes");
    if (reference->domain)
        TRY(check_domain(text, reference->domain));
    if (reference->tag)
        TRY(check_tag(text, reference->tag));
    if (reference->digest)
        TRY(digest_parse(text, reference->digest, &digest));
    return check_path(text, reference->path);
}

static void split(const char *text, struct reference *reference)
{
    const char *at = strchrnul(text, '@');
    if (*at)
        reference->digest = must_copy(at + 1);
    _cleanup_free_ char *name = must_copy_length(text, (size_t)(at - text));
    char *slash = strrchr(name, '/');
    char *colon = strrchr(slash ? slash : name, ':');
    if (colon) {
        reference->tag = must_copy(colon + 1);
        *colon = '\0';
    }
    slash = strchr(name, '/');
    if (slash && is_domain(name, (size_t)(slash - name))) {
        reference->domain = must_copy_length(name, (size_t)(slash - name));
        reference->path = must_copy(slash + 1);
    } else {
        reference->path = TAKE_PTR(name);
    }
}

static struct error *reference_parse(const char *text, struct reference *ret_reference)
{
    struct reference reference = {0};
    split(text, &reference);
    struct error *error = check(text, &reference);
    if (error)
        reference_clear(&reference);
    else
        *ret_reference = reference;
    return error;
}

static char *print(const char *domain, const char *library, const struct reference *reference)
{
    const char *tag = reference->tag ? reference->tag : reference->digest ? NULL : "latest";
    return must_printf("%s%s%s%s%s%s%s%s", domain, *domain ? "/" : "", library, reference->path,
        tag ? ":" : "", tag ? tag : "", reference->digest ? "@" : "",
        reference->digest ? reference->digest : "");
}

struct error *image_name_complete(const char *text, char **ret_name)
{
    __attribute__((cleanup(reference_clear))) struct reference reference = {0};
    TRY(reference_parse(text, &reference));
    *ret_name = print(reference.domain ? reference.domain : "", "", &reference);
    return NULL;
}

struct error *image_reference_normalise(const char *text, char **ret_reference)
{
    __attribute__((cleanup(reference_clear))) struct reference reference = {0};
    TRY(reference_parse(text, &reference));
    const char *domain = reference.domain ? reference.domain : "docker.io";
    if (strcmp(domain, "index.docker.io") == 0)
        domain = "docker.io";
    bool library = strcmp(domain, "docker.io") == 0 && !strchr(reference.path, '/');
    *ret_reference = print(domain, library ? "library/" : "", &reference);
    return NULL;
}
