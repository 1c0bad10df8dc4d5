/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors: whole reads and writes, files as text, descriptors passed over unix sockets.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error *fd_set_nonblocking(int fd, bool nonblocking);
struct error *fd_set_close_on_exec(int fd, bool close_on_exec);

/* Writes everything, across short writes and EINTR; for blocking descriptors. */
struct error *fd_write_all(int fd, const void *data, size_t length);
/* Reads up to the end of the file. More than `limit` bytes is OUT_OF_RANGE. The text is NUL-terminated; the
   length excludes that byte. ret_length may be NULL. */
struct error *fd_read_all(int fd, size_t limit, char **ret_text, size_t *ret_length);
/* Reads exactly `length` bytes; an early end of file is DATA_LOSS. */
struct error *fd_read_exactly(int fd, void *buffer, size_t length);

/* openat + fd_read_all; directory may be AT_FDCWD. */
struct error *file_read(int directory, const char *path, size_t limit, char **ret_text, size_t *ret_length);
/* A file in memory with this text, at its beginning. */
struct error *fd_of_text(const char *text, int *ret_fd);

/* Creates or truncates. For kernel interfaces (cgroup and sysctl files) as well: one write call. */
struct error *file_write(int directory, const char *path, const void *data, size_t length);
struct error *file_write_text(int directory, const char *path, const char *text);
/* Readers see the old file or the whole new one, also after a power cut: temporary file, fsync, rename. */
struct error *file_replace(int directory, const char *path, const void *data, size_t length, mode_t mode);

/* A unix stream socket that is bound and listens (SOCK_NONBLOCK | SOCK_CLOEXEC). Paths longer than sun_path
   are reached through the directory's descriptor. */
struct error *unix_listen(const char *path, int *ret_fd);
/* Blocking connect; the descriptor is close-on-exec. */
struct error *unix_connect(const char *path, int *ret_fd);
/* A connected pair: stream sockets, close-on-exec, both blocking. */
struct error *unix_pair(int *ret_one, int *ret_other);
/* Sends one byte with the descriptor. */
struct error *fd_send(int socket, int fd);
struct error *fd_receive(int socket, int *ret_fd);
