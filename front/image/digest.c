/* SPDX-License-Identifier: Apache-2.0 */
#include "image/digest.h"

#include <openssl/evp.h>
#include <string.h>

struct hasher {
    EVP_MD_CTX *state;
    const char *algorithm;
};

static const struct algorithm {
    const char *name;
    size_t hex_length;
    const EVP_MD *(*method)(void);
} algorithms[] = {
    {"sha256", 64, EVP_sha256},
    {"sha512", 128, EVP_sha512},
};

static const struct algorithm *algorithm_of(const char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
        size_t length = strlen(algorithms[i].name);
        if (strncmp(text, algorithms[i].name, length) == 0 && text[length] == ':')
            return &algorithms[i];
    }
    return NULL;
}

struct error *digest_parse(const char *what, const char *text, struct digest *ret_digest)
{
    const struct algorithm *algorithm = algorithm_of(text);
    if (!algorithm)
        return error_new(ERROR_INVALID_ARGUMENT,
            "%s: \"%.80s\" is no digest of a kind known here (sha256, sha512)", what, text);
    const char *hex = strchr(text, ':') + 1;
    if (strlen(hex) != algorithm->hex_length || strspn(hex, "0123456789abcdef") != algorithm->hex_length)
        return error_new(ERROR_INVALID_ARGUMENT, "%s: \"%.160s\" is no %s digest: it needs %zu hex digits",
            what, text, algorithm->name, algorithm->hex_length);
    struct digest digest = {0};
    memcpy(digest.text, text, strlen(text));
    *ret_digest = digest;
    return NULL;
}

const char *digest_hex(const struct digest *digest)
{
    return strchr(digest->text, ':') + 1;
}

bool digest_equal(const struct digest *one, const struct digest *other)
{
    return strcmp(one->text, other->text) == 0;
}

struct hasher *hasher_new(const struct digest *like)
{
    const struct algorithm *algorithm = like ? algorithm_of(like->text) : &algorithms[0];
    struct hasher *hasher = must_new(struct hasher);
    hasher->algorithm = algorithm->name;
    hasher->state = EVP_MD_CTX_new();
    if (!hasher->state || EVP_DigestInit_ex(hasher->state, algorithm->method(), NULL) != 1)
        abort(); /* libcrypto without SHA-2, or no memory for a few hundred bytes */
    return hasher;
}

void hasher_add(struct hasher *hasher, const void *data, size_t length)
{
    EVP_DigestUpdate(hasher->state, data, length);
}

struct digest hasher_finish(struct hasher *hasher)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    EVP_DigestFinal_ex(hasher->state, sum, &length);
    struct digest digest = {0};
    char *place = stpcpy(stpcpy(digest.text, hasher->algorithm), ":");
    for (unsigned i = 0; i < length; i++) {
        *place++ = digits[sum[i] >> 4];
        *place++ = digits[sum[i] & 15];
    }
    return digest;
}

void hasher_free(struct hasher *hasher)
{
    if (!hasher)
        return;
    EVP_MD_CTX_free(hasher->state);
    free(hasher);
}

struct digest digest_of(const void *data, size_t length)
{
    _cleanup_hasher_ struct hasher *hasher = hasher_new(NULL);
    hasher_add(hasher, data, length);
    return hasher_finish(hasher);
}
