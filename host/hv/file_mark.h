/* SPDX-License-Identifier: Apache-2.0 */
/* Tells one content of a file from another without reading it. */
#pragma once

#include "base/error.h"

/* "PATH DEVICE:INODE SIZE CHANGED": the time of the last change is one that nobody can set back. One line,
   owned by the caller. */
struct error *file_mark(const char *path, char **ret_text);
