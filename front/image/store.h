/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the image store: its directories, locks, temporary directories, names and records.
 */
#pragma once

#include "image/digest.h"
#include "image/document.h"
#include "image/image.h"
#include "image/progress.h"

#include <sys/stat.h>

struct image_store {
    char *data;   /* absolute */
    char *images; /* data + "/images" */
};

/* "IMAGES/DIRECTORY/NAME" + suffix. */
char *store_path(
    const struct image_store *store, const char *directory, const char *name, const char *suffix);

/*
 * Locks between processes. A lock's file exists only while somebody holds it or waits for it.
 */
struct lock {
    int fd;
    char *path;
};
#define _cleanup_lock_ __attribute__((cleanup(lock_release)))
#define LOCK_NONE ((struct lock){.fd = -1})

/* Waits; progress (may be NULL) is told when there is somebody to wait for, and asked five
   times a second whether to go on. ret_waited may be NULL. */
struct error *lock_take(const struct image_store *store, const char *kind, const char *name,
    struct progress *progress, struct lock *ret_lock, bool *ret_waited);
/* Takes it only when it is free; *ret_lock is LOCK_NONE otherwise. */
struct error *lock_try(
    const struct image_store *store, const char *kind, const char *name, struct lock *ret_lock);
void lock_release(struct lock *lock);

/*
 * Temporary directories, removed when they are released, or by the sweep once their process is gone.
 */
struct temporary {
    int fd; /* holds the flock that tells the sweep that it is in use */
    char *path;
};
#define _cleanup_temporary_ __attribute__((cleanup(temporary_release)))
struct error *temporary_new(const struct image_store *store, struct temporary *ret_temporary);
void temporary_release(struct temporary *temporary);
/* Removes those that nobody holds. */
struct error *temporary_sweep(const struct image_store *store);

/*
 * Names. All calls want the lock "index" held, names_load for a look only does not.
 */
enum { NAMES_BYTES_MAX = 16 << 20 };
/* name -> digest text; owned by the caller. */
struct error *names_load(const struct image_store *store, json_t **ret_names);
struct error *names_save(const struct image_store *store, const json_t *names);

/*
 * Records.
 */
struct record {
    struct digest digest;
    bool has_manifest_digest;
    struct digest manifest_digest;
    int64_t loaded;
    struct digest rootfs_digest;
    uint64_t rootfs_size;
    int64_t rootfs_time;
    const char *config; /* the configuration document; borrowed */
    size_t config_length;
};
struct error *record_write(const struct image_store *store, const struct record *record);
/* NOT_FOUND where there is none, or one of another version of the format. Names are not filled in. */
struct error *record_read(const struct image_store *store, const char *hex, struct image **ret_image);
/* All digits of images that have a record. */
struct error *record_list(const struct image_store *store, char ***ret_hexes);

/*
 * References and removal; the lock "index" is held.
 */
/* A container that uses the image, or NULL. Stale references are removed on the way. */
struct error *reference_find(const struct image_store *store, const char *hex, char **ret_container);
/* st_mtim in nanoseconds. */
int64_t store_file_time(const struct stat *status);
/* The record, the file system image and the references directory. */
struct error *store_delete_image(const struct image_store *store, const char *hex);
