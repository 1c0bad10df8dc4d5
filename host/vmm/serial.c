/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/serial.h"

#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/eventfd.h>

/* Registers by offset. The first two are the divisor while LCR_DIVISOR is set. */
enum {
    DATA,
    INTERRUPT_ENABLE,
    IDENTIFY_OR_FIFO,
    LINE_CONTROL,
    MODEM_CONTROL,
    LINE_STATUS,
    MODEM_STATUS,
    SCRATCH
};

#define IER_TRANSMITTER_EMPTY 0x02
#define IER_MASK 0x0f
#define IIR_NONE 0x01
#define IIR_TRANSMITTER_EMPTY 0x02
#define IIR_FIFO 0xc0
#define FCR_ENABLE 0x01
#define LCR_DIVISOR 0x80
#define MCR_DTR 0x01
#define MCR_RTS 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOPBACK 0x10
#define MCR_MASK 0x1f
#define LSR_TRANSMITTER_EMPTY 0x60 /* both the holding register and the shift register */
#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI 0x40
#define MSR_DCD 0x80

#define DIVISOR_9600 12
#define LINE_MAX 256

struct serial {
    int output;
    int interrupt;
    uint8_t interrupt_enable;
    uint8_t line_control;
    uint8_t modem_control;
    uint8_t scratch;
    uint16_t divisor;
    bool fifo;
    bool transmitted; /* the interrupt "transmitter empty" waits to be seen */
    size_t length;
    uint8_t line[LINE_MAX];
};

struct serial *serial_new(int output, int interrupt)
{
    struct serial *serial = must_new(struct serial);
    serial->output = output;
    serial->interrupt = interrupt;
    serial->divisor = DIVISOR_9600;
    return serial;
}

void serial_flush(struct serial *serial)
{
    if (serial->output >= 0 && serial->length > 0) {
        ssize_t ignored = write(serial->output, serial->line, serial->length);
        (void)ignored;
    }
    serial->length = 0;
}

/* A byte is sent the moment it is written, so the transmitter is empty again at once. */
static void transmitter_empty(struct serial *serial)
{
    if (!(serial->interrupt_enable & IER_TRANSMITTER_EMPTY))
        return;
    serial->transmitted = true;
    (void)eventfd_write(serial->interrupt, 1);
}

static void send(struct serial *serial, uint8_t byte)
{
    if (serial->modem_control & MCR_LOOPBACK)
        return;
    serial->line[serial->length++] = byte;
    if (byte == '\n' || serial->length == sizeof(serial->line))
        serial_flush(serial);
    transmitter_empty(serial);
}

static uint8_t identify(struct serial *serial)
{
    uint8_t cause = serial->transmitted ? IIR_TRANSMITTER_EMPTY : IIR_NONE;
    serial->transmitted = false;
    return cause | (serial->fifo ? IIR_FIFO : 0);
}

/* A driver finds out whether there is a port by connecting its outputs to its inputs. */
static uint8_t modem_status(const struct serial *serial)
{
    uint8_t control = serial->modem_control;
    if (!(control & MCR_LOOPBACK))
        return MSR_DCD | MSR_DSR | MSR_CTS;
    return (uint8_t)((control & MCR_RTS ? MSR_CTS : 0) | (control & MCR_DTR ? MSR_DSR : 0) |
                     (control & MCR_OUT1 ? MSR_RI : 0) | (control & MCR_OUT2 ? MSR_DCD : 0));
}

uint8_t serial_read(struct serial *serial, unsigned offset)
{
    bool divisor = serial->line_control & LCR_DIVISOR;
    switch (offset) {
    case DATA:
        return divisor ? (uint8_t)serial->divisor : 0;
    case INTERRUPT_ENABLE:
        return divisor ? (uint8_t)(serial->divisor >> 8) : serial->interrupt_enable;
    case IDENTIFY_OR_FIFO:
        return identify(serial);
    case LINE_CONTROL:
        return serial->line_control;
    case MODEM_CONTROL:
        return serial->modem_control;
    case LINE_STATUS:
        return LSR_TRANSMITTER_EMPTY;
    case MODEM_STATUS:
        return modem_status(serial);
    case SCRATCH:
        return serial->scratch;
    default:
        return 0xff;
    }
}

static void write_divisor(struct serial *serial, unsigned offset, uint8_t value)
{
    unsigned shift = offset == DATA ? 0 : 8;
    serial->divisor = (uint16_t)((serial->divisor & ~(0xffu << shift)) | (unsigned)value << shift);
}

static void enable_interrupts(struct serial *serial, uint8_t value)
{
    serial->interrupt_enable = value & IER_MASK;
    transmitter_empty(serial);
}

void serial_write(struct serial *serial, unsigned offset, uint8_t value)
{
    if (serial->line_control & LCR_DIVISOR && offset <= INTERRUPT_ENABLE) {
        write_divisor(serial, offset, value);
        return;
    }
    switch (offset) {
    case DATA:
        send(serial, value);
        break;
    case INTERRUPT_ENABLE:
        enable_interrupts(serial, value);
        break;
    case IDENTIFY_OR_FIFO:
        serial->fifo = value & FCR_ENABLE;
        break;
    case LINE_CONTROL:
        serial->line_control = value;
        break;
    case MODEM_CONTROL:
        serial->modem_control = value & MCR_MASK;
        break;
    case SCRATCH:
        serial->scratch = value;
        break;
    default:
        break;
    }
}

void serial_free(struct serial *serial)
{
    if (!serial)
        return;
    serial_flush(serial);
    free(serial);
}
