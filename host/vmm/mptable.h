/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table by which a kernel without ACPI finds the processors and the interrupt controllers: Intel's
 * MultiProcessor Specification 1.4, chapter 4. Line n of the interrupt controllers is input n of the I/O
 * APIC.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The last KiB of base memory, one of the places where a kernel looks. The PC's map of memory has it
   reserved. */
#define MPTABLE_ADDRESS 0x9fc00u
#define MPTABLE_SIZE_MAX 1024u
#define MPTABLE_PROCESSORS_MAX 32u

/* Inputs of KVM's I/O APIC: KVM_IOAPIC_NUM_PINS. */
#define MPTABLE_INPUTS 24u

/* Fills the table for 1 to MPTABLE_PROCESSORS_MAX processors, whose APICs have the numbers 0, 1, ...; the
   size used. */
size_t mptable_fill(unsigned processors, uint8_t ret_table[MPTABLE_SIZE_MAX]);
