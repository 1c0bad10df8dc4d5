/* SPDX-License-Identifier: Apache-2.0 */
/* What probe_kvm runs: probe_guest.S and the memory it expects, shared by both. */
#pragma once

#define PROBE_MEMORY 0x10000
#define PROBE_CODE 0x1000 /* where probe_guest.S is loaded and begins, in real mode */
#define PROBE_PML4 0x2000 /* page tables that map the first 2 MiB as they are */
#define PROBE_PDPT 0x3000
#define PROBE_PD 0x4000
#define PROBE_COUNTER 0x5000 /* 16 bytes that the guest counts up */

#define PROBE_ROUNDS 1000
#define PROBE_PORT 0xf4 /* the guest writes PROBE_DONE there when all went well */
#define PROBE_DONE 0x42

#ifndef __ASSEMBLER__
extern const unsigned char probe_guest[], probe_guest_end[];
#endif
