/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/mptable.h"

#include <assert.h>
#include <string.h>

#define REVISION 4 /* of the specification: 1.4 */
#define APIC_VERSION 0x14
#define LOCAL_APIC_ADDRESS 0xfee00000u
#define IO_APIC_ADDRESS 0xfec00000u
#define ALL_APICS 0xff

enum entry_type { PROCESSOR, BUS, IO_APIC, IO_INTERRUPT, LOCAL_INTERRUPT };
enum interrupt_type { VECTORED, NMI, SMI, EXTERNAL };

#define ENABLED 1
#define BOOT_PROCESSOR 2
#define FEATURE_APIC (1u << 9) /* of leaf 1's edx, in which the processor's entry repeats CPUID */
#define FEATURE_FPU (1u << 0)

struct floating_pointer {
    char signature[4];
    uint32_t table;
    uint8_t length; /* in units of 16 bytes */
    uint8_t revision;
    uint8_t checksum;
    uint8_t features[5];
} __attribute__((packed));

struct header {
    char signature[4];
    uint16_t length;
    uint8_t revision;
    uint8_t checksum;
    char maker[8];
    char product[12];
    uint32_t oem_table;
    uint16_t oem_size;
    uint16_t entries;
    uint32_t local_apic;
    uint32_t reserved;
} __attribute__((packed));

struct processor {
    uint8_t type;
    uint8_t apic;
    uint8_t version;
    uint8_t flags;
    uint32_t signature;
    uint32_t features;
    uint32_t reserved[2];
} __attribute__((packed));

struct bus {
    uint8_t type;
    uint8_t number;
    char name[6];
} __attribute__((packed));

struct io_apic {
    uint8_t type;
    uint8_t apic;
    uint8_t version;
    uint8_t flags;
    uint32_t address;
} __attribute__((packed));

struct interrupt {
    uint8_t type;
    uint8_t kind;
    uint16_t flags; /* 0: as is usual on the bus; on ISA rising edges */
    uint8_t bus;
    uint8_t line;
    uint8_t apic;
    uint8_t input;
} __attribute__((packed));

/* The table while it is filled: the header's place is kept free until the rest is known. */
struct builder {
    uint8_t *out;
    size_t length;
    uint16_t entries;
};

static void append(struct builder *builder, const void *entry, size_t size)
{
    memcpy(builder->out + builder->length, entry, size);
    builder->length += size;
    builder->entries++;
}

/* All bytes with the checksum among them add up to 0. */
static uint8_t checksum(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return (uint8_t)-sum;
}

static void append_processors(struct builder *builder, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct processor entry = {
            .type = PROCESSOR,
            .apic = (uint8_t)i,
            .version = APIC_VERSION,
            .flags = ENABLED | (i == 0 ? BOOT_PROCESSOR : 0),
            .features = FEATURE_APIC | FEATURE_FPU,
        };
        append(builder, &entry, sizeof(entry));
    }
}

static void append_interrupts(struct builder *builder, uint8_t io_apic)
{
    for (uint8_t line = 0; line < MPTABLE_INPUTS; line++) {
        const struct interrupt entry = {
            .type = IO_INTERRUPT, .kind = VECTORED, .line = line, .apic = io_apic, .input = line};
        append(builder, &entry, sizeof(entry));
    }
    const struct interrupt external = {.type = LOCAL_INTERRUPT, .kind = EXTERNAL, .apic = 0, .input = 0};
    const struct interrupt nmi = {.type = LOCAL_INTERRUPT, .kind = NMI, .apic = ALL_APICS, .input = 1};
    append(builder, &external, sizeof(external));
    append(builder, &nmi, sizeof(nmi));
}

static void fill_header(const struct builder *builder, struct header *header)
{
    *header = (struct header){
        .signature = "PCMP",
        .length = (uint16_t)builder->length,
        .revision = REVISION,
        .maker = "CAISSON ",
        .product = "VMM         ",
        .entries = builder->entries,
        .local_apic = LOCAL_APIC_ADDRESS,
    };
    memcpy(builder->out, header, sizeof(*header));
    header->checksum = checksum(builder->out, builder->length);
    memcpy(builder->out, header, sizeof(*header));
}

size_t mptable_fill(unsigned processors, uint8_t ret_table[MPTABLE_SIZE_MAX])
{
    static_assert(sizeof(struct floating_pointer) + sizeof(struct header) +
                          MPTABLE_PROCESSORS_MAX * sizeof(struct processor) + sizeof(struct bus) +
                          sizeof(struct io_apic) + (MPTABLE_INPUTS + 2) * sizeof(struct interrupt) <=
                      MPTABLE_SIZE_MAX,
        "the largest table fits its place");
    assert(processors >= 1 && processors <= MPTABLE_PROCESSORS_MAX);
    struct floating_pointer pointer = {
        .signature = "_MP_",
        .table = MPTABLE_ADDRESS + sizeof(pointer),
        .length = sizeof(pointer) / 16,
        .revision = REVISION,
    };
    pointer.checksum = checksum(&pointer, sizeof(pointer));
    memcpy(ret_table, &pointer, sizeof(pointer));
    struct builder builder = {.out = ret_table + sizeof(pointer), .length = sizeof(struct header)};
    append_processors(&builder, processors);
    const struct bus isa = {.type = BUS, .number = 0, .name = "ISA   "};
    append(&builder, &isa, sizeof(isa));
    const struct io_apic io_apic = {.type = IO_APIC,
        .apic = (uint8_t)processors,
        .version = APIC_VERSION,
        .flags = ENABLED,
        .address = IO_APIC_ADDRESS};
    append(&builder, &io_apic, sizeof(io_apic));
    append_interrupts(&builder, io_apic.apic);
    struct header header;
    fill_header(&builder, &header);
    return sizeof(pointer) + builder.length;
}
