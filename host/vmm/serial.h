/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debug console: the transmitting half of a 16550A serial port (National Semiconductor's PC16550D data
 * sheet), as far as Linux's 8250 driver looks at it. Nothing is ever received.
 *
 * What the guest sends is gathered to whole lines and written to a descriptor that never makes the guest's
 * processor wait: what its reader does not take in time is lost.
 */
#pragma once

#include "base/cleanup.h"

#include <stdint.h>

/* Where a PC has its first serial port. */
#define SERIAL_PORT 0x3f8
#define SERIAL_PORT_COUNT 8
#define SERIAL_GSI 4

struct serial;

/* Borrows both: `output` (non-blocking; -1: nobody listens) and `interrupt`, the eventfd of its line. */
struct serial *serial_new(int output, int interrupt);
/* The register at SERIAL_PORT + offset; offset below SERIAL_PORT_COUNT. */
uint8_t serial_read(struct serial *serial, unsigned offset);
void serial_write(struct serial *serial, unsigned offset, uint8_t value);
/* Writes what is left of an unfinished line. */
void serial_flush(struct serial *serial);
/* Takes NULL; flushes. */
void serial_free(struct serial *serial);

DEFINE_CLEANUP(struct serial *, serial_free);
