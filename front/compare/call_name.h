/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The name of a system call of this architecture; NULL where this program knows none. */
const char *call_name(unsigned number);
