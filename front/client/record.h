/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a container apart from its shim: DATA/containers/ID/container.json.
 *
 * The record is replaced by rename, so a reader sees the old one or the new one. It is not flushed to the
 * disk: after a power cut the container is gone anyway, and the sweep removes what it cannot read.
 */
#pragma once

#include "client/directories.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum container_status {
    CONTAINER_CREATED, /* has a record; its shim may be starting */
    CONTAINER_RUNNING,
    CONTAINER_EXITED,
};

struct record {
    char *id;
    char *name;
    char *image;          /* as the user named it */
    char *image_digest;   /* sha256:... */
    char **command;       /* what runs as the container's first process */
    char **labels;        /* key=value */
    char **annotations;   /* key=value */
    char **ports;         /* [IP:]HOST:GUEST/PROTOCOL */
    char **volumes;       /* directories of anonymous volumes, which go with the container */
    char *hypervisor;     /* as asked for; "auto" by default */
    char *network;        /* none or user */
    char *stop_signal;    /* SIGTERM and so on */
    int64_t stop_timeout; /* seconds between the stop signal and SIGKILL */
    enum container_status status;
    int64_t created; /* milliseconds since 1970; 0 where it has not happened */
    int64_t started;
    int64_t finished;
    int64_t exit_code;
    bool oom;     /* the guest's kernel ended a process of it for memory */
    char *reason; /* why it ended, where that is more than its exit code; or NULL */
    bool terminal;
    bool detached;
    bool auto_remove;
};

/* Takes NULL. */
void record_free(struct record *record);
DEFINE_CLEANUP(struct record *, record_free);
#define _cleanup_record_ _cleanup_(record_free)

const char *container_status_name(enum container_status status);

/* 32 random hexadecimal digits. */
char *record_new_id(void);
/* Milliseconds since 1970. */
int64_t record_now(void);

/* NOT_FOUND where there is none, DATA_LOSS where it cannot be read as a record. */
struct error *record_load(const struct directories *directories, const char *id, struct record **ret_record);
struct error *record_save(const struct directories *directories, const struct record *record);
/* DATA/containers/ID is made and its name taken; ALREADY_EXISTS names the container that has the name. The
   lock is held from the beginning. */
struct error *record_reserve(
    const struct directories *directories, const struct record *record, int *ret_lock);
/* Removes the record's directory (log included), its anonymous volumes and its name. */
struct error *record_remove(const struct directories *directories, const struct record *record);

/* The ids of all containers, oldest directory first is not promised. */
struct error *record_list_ids(const struct directories *directories, char ***ret_ids);
/* An id from an id, a name, or the beginning of one id. NOT_FOUND; INVALID_ARGUMENT where several fit. */
struct error *record_resolve(const struct directories *directories, const char *text, char **ret_id);

/* Holding DATA/containers/ID/lock means: this process will record the exit and remove the shim. The kernel
   drops it with the process. *ret_fd is -1 where another process holds it; NOT_FOUND where the container is
   gone, or was never finished. */
struct error *record_try_lock(const struct directories *directories, const char *id, int *ret_fd);
/* Waits by events until the lock is free, at most `timeout` milliseconds (DEADLINE_EXCEEDED). NOT_FOUND when
   the container is removed meanwhile. */
struct error *record_lock(const struct directories *directories, const char *id, int timeout, int *ret_fd);
