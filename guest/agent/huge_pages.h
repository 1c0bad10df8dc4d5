/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of the guest in huge pages, which somebody has to set aside before a hugetlbfs has any.
 */
#pragma once

#include "base/error.h"

#include <stdint.h>

#define HUGE_PAGES_DIRECTORY "/sys/kernel/mm/hugepages"

/* Sets aside `size` bytes more in pages of `page_size`, both as decimal numbers of bytes; `directory` is
   HUGE_PAGES_DIRECTORY but for tests. INVALID_ARGUMENT for no numbers and for a page size that this machine
   does not have, RESOURCE_EXHAUSTED where there is less, which is left as it was. */
struct error *huge_pages_add(const char *directory, const char *page_size, const char *size);
