/* SPDX-License-Identifier: Apache-2.0 */
/* What the monitor puts into the guest's memory before it runs, from kernels made up here; no KVM. */
#include "assertions.h"
#include "vmm/boot.h"
#include "vmm/elf.h"
#include "vmm/mptable.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <inttypes.h>
#include <sys/mman.h>

#define MIB (UINT64_C(1) << 20)
#define TEXT_OFFSET 0x1000u
#define TEXT_SIZE 0x200u
#define NOTES_OFFSET 0x800u

/* A kernel of one segment and a PVH note, before it becomes a file. */
struct kernel {
    Elf64_Ehdr header;
    Elf64_Phdr programs[2]; /* the segment, the notes */
    struct {
        Elf64_Nhdr header;
        char name[4];
        uint32_t entry;
    } note;
    size_t size; /* of the file */
};

static struct kernel good_kernel(void)
{
    struct kernel kernel = {
        .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
            .e_type = ET_EXEC,
            .e_machine = EM_X86_64,
            .e_entry = 0x1000123,
            .e_phoff = sizeof(Elf64_Ehdr),
            .e_phentsize = sizeof(Elf64_Phdr),
            .e_phnum = 2},
        .programs = {{.p_type = PT_LOAD,
                         .p_offset = TEXT_OFFSET,
                         .p_paddr = 16 * MIB,
                         .p_filesz = TEXT_SIZE,
                         .p_memsz = 2 * TEXT_SIZE},
            {.p_type = PT_NOTE, .p_offset = NOTES_OFFSET, .p_filesz = 20}},
        .note = {.header = {.n_namesz = 4, .n_descsz = 4, .n_type = 18}, .name = "Xen", .entry = 0x1000040},
        .size = TEXT_OFFSET + TEXT_SIZE,
    };
    return kernel;
}

static int file_of(const struct kernel *kernel)
{
    int fd = memfd_create("kernel", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, (off_t)kernel->size), 0);
    (void)!pwrite(fd, &kernel->header, sizeof(kernel->header), 0);
    (void)!pwrite(fd, kernel->programs, sizeof(kernel->programs), sizeof(kernel->header));
    (void)!pwrite(fd, &kernel->note, sizeof(kernel->note), NOTES_OFFSET);
    for (unsigned i = 0; i < TEXT_SIZE; i++)
        (void)!pwrite(fd, &(uint8_t){(uint8_t)i}, 1, TEXT_OFFSET + i);
    assert_int_equal(ftruncate(fd, (off_t)kernel->size), 0);
    return fd;
}

static struct error *read_kernel(const struct kernel *kernel, struct elf_image *ret_image)
{
    _cleanup_fd_ int fd = file_of(kernel);
    return elf_read(fd, ret_image);
}

static void kernel_is_read(void **state)
{
    const struct kernel kernel = good_kernel();
    struct elf_image image;
    assert_ok(read_kernel(&kernel, &image));
    assert_int_equal(image.segment_count, 1);
    assert_int_equal(image.segments[0].address, 16 * MIB);
    assert_int_equal(image.segments[0].memory_size, 2 * TEXT_SIZE);
    assert_int_equal(image.entry, 0x1000123);
    assert_true(image.has_pvh);
    assert_int_equal(image.pvh_entry, 0x1000040);
}

/* Each changes one thing of a good kernel. */
static void no_magic(struct kernel *kernel)
{
    kernel->header.e_ident[1] = 'e';
}

static void for_32_bits(struct kernel *kernel)
{
    kernel->header.e_ident[EI_CLASS] = ELFCLASS32;
}

static void relocatable(struct kernel *kernel)
{
    kernel->header.e_type = ET_DYN;
}

static void no_headers(struct kernel *kernel)
{
    kernel->header.e_phnum = 0;
}

static void headers_far_away(struct kernel *kernel)
{
    kernel->header.e_phoff = UINT64_MAX - 8;
}

static void segment_beyond_the_end(struct kernel *kernel)
{
    kernel->programs[0].p_offset = kernel->size - TEXT_SIZE + 1;
}

static void segment_wraps(struct kernel *kernel)
{
    kernel->programs[0].p_paddr = UINT64_MAX - TEXT_SIZE;
}

static void more_file_than_memory(struct kernel *kernel)
{
    kernel->programs[0].p_memsz = TEXT_SIZE - 1;
}

static void nothing_to_load(struct kernel *kernel)
{
    kernel->programs[0].p_type = PT_NULL;
}

static void note_name_too_long(struct kernel *kernel)
{
    kernel->note.header.n_namesz = UINT32_MAX;
}

static void note_contents_too_long(struct kernel *kernel)
{
    kernel->note.header.n_descsz = UINT32_MAX - 2;
}

static void many_notes(struct kernel *kernel)
{
    kernel->programs[1].p_filesz = 65537;
}

static void strange_entry(struct kernel *kernel)
{
    kernel->note.header.n_descsz = 2;
}

static void too_short(struct kernel *kernel)
{
    kernel->size = sizeof(Elf64_Ehdr) - 1;
}

static void damaged_kernels_are_refused(void **state)
{
    static const struct {
        void (*damage)(struct kernel *kernel);
        const char *words;
    } cases[] = {
        {no_magic, "no ELF"},
        {for_32_bits, "x86-64"},
        {relocatable, "fixed address"},
        {no_headers, "no program headers"},
        {headers_far_away, "too early"},
        {segment_beyond_the_end, "larger than the file"},
        {segment_wraps, "wraps"},
        {more_file_than_memory, "larger than the file"},
        {nothing_to_load, "nothing to load"},
        {note_name_too_long, "note is larger"},
        {note_contents_too_long, "note is larger"},
        {many_notes, "too many notes"},
        {strange_entry, "strange size"},
        {too_short, "too early"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct kernel kernel = good_kernel();
        struct elf_image image = {.entry = 7};
        cases[i].damage(&kernel);
        assert_refused(read_kernel(&kernel, &image), ERROR_INVALID_ARGUMENT, cases[i].words);
        assert_int_equal(image.entry, 7);
    }
}

static uint32_t word_at(const struct guest_memory *memory, uint64_t address)
{
    uint32_t value;
    assert_ok(guest_memory_read(memory, address, &value, sizeof(value)));
    return value;
}

static uint64_t number_at(const struct guest_memory *memory, uint64_t address)
{
    uint64_t value;
    assert_ok(guest_memory_read(memory, address, &value, sizeof(value)));
    return value;
}

static struct error *load(const struct kernel *kernel, uint64_t memory_size, size_t initrd_size,
    struct guest_memory **ret_memory, struct boot_entry *ret_entry)
{
    _cleanup_fd_ int file = file_of(kernel), initrd = memfd_create("initrd", MFD_CLOEXEC);
    assert_int_equal(ftruncate(initrd, (off_t)initrd_size), 0);
    if (initrd_size)
        assert_int_equal(pwrite(initrd, "0707", 4, 0), 4);
    const struct boot_request request = {
        .kernel = file, .initrd = initrd, .command_line = "console=ttyS0", .processors = 2};
    assert_ok(guest_memory_new(memory_size, false, ret_memory));
    return boot_load(*ret_memory, &request, ret_entry);
}

/* The numbers are those of the kernel's hvm_start_info. */
static void pvh_is_told_everything(void **state)
{
    const struct kernel kernel = good_kernel();
    _cleanup_(guest_memory_free) struct guest_memory *memory = NULL;
    struct boot_entry entry;
    assert_ok(load(&kernel, 64 * MIB, 5000, &memory, &entry));
    assert_false(entry.long_mode);
    assert_int_equal(entry.instruction, 0x1000040);
    uint64_t info = entry.argument;
    assert_int_equal(word_at(memory, info), 0x336ec578);
    assert_int_equal(word_at(memory, info + 4), 1);
    assert_int_equal(word_at(memory, info + 12), 1);
    uint64_t module = number_at(memory, info + 16), initrd = number_at(memory, module);
    assert_int_equal(initrd, 64 * MIB - 8192);
    assert_int_equal(number_at(memory, module + 8), 5000);
    assert_int_equal(word_at(memory, initrd), 0x37303730);
    char line[14];
    assert_ok(guest_memory_read(memory, number_at(memory, info + 24), line, sizeof(line)));
    assert_string_equal(line, "console=ttyS0");
    assert_int_equal(word_at(memory, info + 48), 3);
    uint64_t map = number_at(memory, info + 40);
    assert_int_equal(number_at(memory, map + 2 * 24), MIB);
    assert_int_equal(number_at(memory, map + 2 * 24 + 8), 63 * MIB);
}

static void kernel_lies_where_it_wants(void **state)
{
    const struct kernel kernel = good_kernel();
    _cleanup_(guest_memory_free) struct guest_memory *memory = NULL;
    struct boot_entry entry;
    assert_ok(load(&kernel, 64 * MIB, 0, &memory, &entry));
    assert_int_equal(word_at(memory, 16 * MIB), 0x03020100);
    assert_int_equal(word_at(memory, 16 * MIB + TEXT_SIZE), 0);
}

static void kernel_without_note_is_entered_as_64_bit_code(void **state)
{
    struct kernel kernel = good_kernel();
    kernel.programs[1].p_type = PT_NULL;
    _cleanup_(guest_memory_free) struct guest_memory *memory = NULL;
    struct boot_entry entry;
    struct boot_params params;
    assert_ok(load(&kernel, 64 * MIB, 5000, &memory, &entry));
    assert_true(entry.long_mode);
    assert_int_equal(entry.instruction, 0x1000123);
    assert_ok(guest_memory_read(memory, entry.argument, &params, sizeof(params)));
    assert_int_equal(params.hdr.boot_flag, 0xaa55);
    assert_int_equal(params.hdr.ramdisk_size, 5000);
    assert_int_equal(params.e820_entries, 3);
    /* The last page of the first GiB is mapped to itself. */
    uint64_t level3 = number_at(memory, BOOT_PAGE_TABLES_ADDRESS) & ~UINT64_C(0xfff);
    uint64_t level2 = number_at(memory, level3) & ~UINT64_C(0xfff);
    assert_int_equal(number_at(memory, level2 + 511 * 8), (1022 * MIB) | 0x83);
}

static void too_little_memory_is_told(void **state)
{
    const struct kernel kernel = good_kernel();
    _cleanup_(guest_memory_free) struct guest_memory *small = NULL, *full = NULL, *tiny = NULL;
    struct boot_entry entry;
    assert_refused(load(&kernel, 16 * MIB, 0, &small, &entry), ERROR_RESOURCE_EXHAUSTED,
        "16 MiB of memory are too little");
    assert_refused(load(&kernel, 32 * MIB, 20 * MIB, &full, &entry), ERROR_RESOURCE_EXHAUSTED, "too little");
    assert_refused(load(&kernel, 2 * MIB, 4 * MIB, &tiny, &entry), ERROR_RESOURCE_EXHAUSTED, "too little");
}

static void kernel_may_not_hide_the_tables(void **state)
{
    struct kernel kernel = good_kernel();
    kernel.programs[0].p_paddr = 0x6000;
    _cleanup_(guest_memory_free) struct guest_memory *memory = NULL;
    struct boot_entry entry;
    assert_refused(load(&kernel, 64 * MIB, 0, &memory, &entry), ERROR_INVALID_ARGUMENT, "first MiB");
}

static uint8_t sum(const uint8_t *bytes, size_t size)
{
    uint8_t total = 0;
    for (size_t i = 0; i < size; i++)
        total = (uint8_t)(total + bytes[i]);
    return total;
}

static void table_of_processors_adds_up(void **state)
{
    static const unsigned counts[] = {1, 2, MPTABLE_PROCESSORS_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        uint8_t table[MPTABLE_SIZE_MAX] = {0};
        uint16_t length, entries;
        size_t size = mptable_fill(counts[i], table);
        assert_true(size <= MPTABLE_SIZE_MAX);
        assert_memory_equal(table, "_MP_", 4);
        assert_int_equal(sum(table, 16), 0);
        assert_memory_equal(table + 16, "PCMP", 4);
        memcpy(&length, table + 20, sizeof(length));
        memcpy(&entries, table + 16 + 34, sizeof(entries));
        assert_int_equal(length + 16, size);
        assert_int_equal(sum(table + 16, length), 0);
        assert_int_equal(entries, counts[i] + 2 + MPTABLE_INPUTS + 2);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernel_is_read),
        cmocka_unit_test(damaged_kernels_are_refused),
        cmocka_unit_test(pvh_is_told_everything),
        cmocka_unit_test(kernel_lies_where_it_wants),
        cmocka_unit_test(kernel_without_note_is_entered_as_64_bit_code),
        cmocka_unit_test(too_little_memory_is_told),
        cmocka_unit_test(kernel_may_not_hide_the_tables),
        cmocka_unit_test(table_of_processors_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
