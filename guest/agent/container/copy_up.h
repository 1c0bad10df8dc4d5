/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tmpcopyup option: a new tmpfs begins as a copy of the directory that it covers.
 */
#pragma once

#include "base/error.h"

/* Copies what is below one directory into another: files, directories, links and nodes, with owners, modes
   and times. The descriptors may be O_PATH. */
struct error *copy_up(int from, int to);
