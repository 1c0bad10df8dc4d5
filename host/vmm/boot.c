/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first MiB while the kernel starts; it may overwrite all of this once it has read it:
 *
 *     0x500      descriptor table (64-bit entry)
 *     0x6000     hvm_start_info, and the list of modules behind it (PVH)
 *     0x7000     map of memory (PVH), or boot_params with the same (64-bit entry)
 *     0x9000     page tables: the first GiB at its own addresses (64-bit entry)
 *     0x20000    command line
 *     0x9fc00    table of processors
 *
 * The kernel lies where its file says, the initrd at the end of the memory below the devices.
 */
#include "vmm/boot.h"

#include "vmm/elf.h"
#include "vmm/mptable.h"

#include <asm/bootparam.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE_SIZE UINT64_C(4096)
#define MIB (UINT64_C(1) << 20)

#define START_INFO_ADDRESS 0x6000u
#define MODULES_ADDRESS 0x6040u
#define MEMORY_MAP_ADDRESS 0x7000u
#define BOOT_PARAMS_ADDRESS 0x7000u
#define COMMAND_LINE_ADDRESS 0x20000u

#define MAP_RAM 1u
#define MAP_RESERVED 2u
#define MAP_ENTRIES_MAX 4

/* The kernel's include/xen/interface/hvm/start_info.h, version 1. */
#define START_INFO_MAGIC 0x336ec578u

struct start_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t module_count;
    uint64_t modules;
    uint64_t command_line;
    uint64_t rsdp;
    uint64_t memory_map;
    uint32_t memory_map_entries;
    uint32_t reserved;
};

struct start_module {
    uint64_t address;
    uint64_t size;
    uint64_t command_line;
    uint64_t reserved;
};

struct start_memory {
    uint64_t address;
    uint64_t size;
    uint32_t type;
    uint32_t reserved;
};

struct blob {
    uint64_t address;
    uint64_t size;
};

static struct error *too_small(const struct guest_memory *memory)
{
    return error_new(ERROR_RESOURCE_EXHAUSTED, "%" PRIu64 " MiB of memory are too little for this kernel",
        memory->regions[0].size / MIB);
}

static struct error *read_file(int fd, uint64_t offset, void *buffer, uint64_t length)
{
    for (uint64_t done = 0; done < length;) {
        ssize_t count = pread(fd, (uint8_t *)buffer + done, length - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_errno(errno, "reading the guest's files");
        if (count == 0)
            return error_new(ERROR_DATA_LOSS, "a file of the guest's became shorter while it was read");
        done += (uint64_t)count;
    }
    return NULL;
}

/*
 * Whole pages of a file can be mapped in place of memory that is nobody else's: nothing is copied, and what
 * the guest does not change it shares with all others of this kernel. How many bytes that took care of is
 * told.
 */
static struct error *map_file(const struct guest_memory *memory, int fd, uint64_t offset, uint64_t address,
    uint64_t length, uint64_t *ret_mapped)
{
    void *place;
    uint64_t pages = length & ~(PAGE_SIZE - 1);
    *ret_mapped = 0;
    if (memory->shared || pages == 0 || offset % PAGE_SIZE || address % PAGE_SIZE)
        return NULL;
    TRY(guest_memory_slice(memory, address, pages, &place));
    if (mmap(place, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
            (off_t)offset) == MAP_FAILED)
        return error_errno(errno, "mapping the guest's kernel");
    *ret_mapped = pages;
    return NULL;
}

static struct error *load_file(
    const struct guest_memory *memory, int fd, uint64_t offset, uint64_t address, uint64_t length)
{
    void *place;
    TRY(guest_memory_slice(memory, address, length, &place));
    return read_file(fd, offset, place, length);
}

/* At the end of the low memory, on whole pages; an empty one is none. */
static struct error *load_initrd(const struct guest_memory *memory, int fd, struct blob *ret_initrd)
{
    struct stat status;
    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) < 0)
        return error_errno(errno, "looking at the initrd");
    uint64_t size = (uint64_t)status.st_size, top = memory->regions[0].size;
    uint64_t pages = (size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    if (size == 0)
        return NULL;
    if (size > top || pages > top - MIB)
        return too_small(memory);
    TRY(load_file(memory, fd, 0, top - pages, size));
    *ret_initrd = (struct blob){.address = top - pages, .size = size};
    return NULL;
}

static struct error *load_segment(
    const struct guest_memory *memory, int fd, const struct elf_segment *segment)
{
    uint64_t mapped;
    TRY(map_file(memory, fd, segment->offset, segment->address, segment->file_size, &mapped));
    return load_file(
        memory, fd, segment->offset + mapped, segment->address + mapped, segment->file_size - mapped);
}

/* The kernel's memory is above the first MiB and below the initrd; it is zeroed where the file says nothing.
 */
static struct error *load_kernel(
    const struct guest_memory *memory, int fd, const struct elf_image *image, uint64_t end)
{
    for (size_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (segment->address < MIB)
            return error_new(ERROR_INVALID_ARGUMENT, "the kernel wants to lie in the first MiB of memory");
        if (segment->address > end || segment->memory_size > end - segment->address)
            return too_small(memory);
        TRY(load_segment(memory, fd, segment));
    }
    return NULL;
}

static size_t map_memory(const struct guest_memory *memory, struct start_memory map[MAP_ENTRIES_MAX])
{
    const struct guest_region *low = &memory->regions[0];
    size_t count = 0;
    map[count++] = (struct start_memory){.address = 0, .size = MPTABLE_ADDRESS, .type = MAP_RAM};
    map[count++] = (struct start_memory){
        .address = MPTABLE_ADDRESS, .size = MIB - MPTABLE_ADDRESS, .type = MAP_RESERVED};
    map[count++] = (struct start_memory){.address = MIB, .size = low->size - MIB, .type = MAP_RAM};
    for (unsigned i = 1; i < memory->region_count; i++)
        map[count++] = (struct start_memory){
            .address = memory->regions[i].address, .size = memory->regions[i].size, .type = MAP_RAM};
    return count;
}

static struct error *write_start_info(const struct guest_memory *memory, const struct blob *initrd)
{
    struct start_memory map[MAP_ENTRIES_MAX];
    size_t count = map_memory(memory, map);
    const struct start_module module = {.address = initrd->address, .size = initrd->size};
    const struct start_info info = {
        .magic = START_INFO_MAGIC,
        .version = 1,
        .module_count = initrd->size ? 1 : 0,
        .modules = MODULES_ADDRESS,
        .command_line = COMMAND_LINE_ADDRESS,
        .memory_map = MEMORY_MAP_ADDRESS,
        .memory_map_entries = (uint32_t)count,
    };
    TRY(guest_memory_write(memory, MODULES_ADDRESS, &module, sizeof(module)));
    TRY(guest_memory_write(memory, MEMORY_MAP_ADDRESS, map, count * sizeof(map[0])));
    return guest_memory_write(memory, START_INFO_ADDRESS, &info, sizeof(info));
}

/* One table of each level, the last with pages of 2 MiB. */
static struct error *write_page_tables(const struct guest_memory *memory)
{
    enum { PRESENT = 1, WRITABLE = 2, LARGE = 0x80, ENTRIES = 512 };
    uint64_t pages[ENTRIES];
    const uint64_t level4 = (BOOT_PAGE_TABLES_ADDRESS + PAGE_SIZE) | PRESENT | WRITABLE;
    const uint64_t level3 = (BOOT_PAGE_TABLES_ADDRESS + 2 * PAGE_SIZE) | PRESENT | WRITABLE;
    for (uint64_t i = 0; i < ENTRIES; i++)
        pages[i] = i * 2 * MIB | PRESENT | WRITABLE | LARGE;
    TRY(guest_memory_write(memory, BOOT_PAGE_TABLES_ADDRESS, &level4, sizeof(level4)));
    TRY(guest_memory_write(memory, BOOT_PAGE_TABLES_ADDRESS + PAGE_SIZE, &level3, sizeof(level3)));
    return guest_memory_write(memory, BOOT_PAGE_TABLES_ADDRESS + 2 * PAGE_SIZE, pages, sizeof(pages));
}

static struct error *write_boot_params(const struct guest_memory *memory, const struct blob *initrd)
{
    struct start_memory map[MAP_ENTRIES_MAX];
    size_t count = map_memory(memory, map);
    struct boot_params params = {.e820_entries = (uint8_t)count};
    for (size_t i = 0; i < count; i++) {
        params.e820_table[i].addr = map[i].address;
        params.e820_table[i].size = map[i].size;
        params.e820_table[i].type = map[i].type;
    }
    params.hdr.type_of_loader = 0xff;
    params.hdr.boot_flag = 0xaa55;
    memcpy(&params.hdr.header, "HdrS", 4);
    params.hdr.kernel_alignment = 16 * MIB;
    params.hdr.cmd_line_ptr = COMMAND_LINE_ADDRESS;
    params.hdr.cmdline_size = BOOT_COMMAND_LINE_MAX - 1;
    params.hdr.ramdisk_image = (uint32_t)initrd->address;
    params.hdr.ramdisk_size = (uint32_t)initrd->size;
    return guest_memory_write(memory, BOOT_PARAMS_ADDRESS, &params, sizeof(params));
}

/* Null, code, data and task state: flat, as the 64-bit boot protocol wants them. */
static struct error *prepare_long_mode(const struct guest_memory *memory, const struct blob *initrd)
{
    static const uint64_t descriptors[BOOT_GDT_ENTRIES] = {
        0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x008f8b000000ffff};
    TRY(guest_memory_write(memory, BOOT_GDT_ADDRESS, descriptors, sizeof(descriptors)));
    TRY(write_page_tables(memory));
    return write_boot_params(memory, initrd);
}

static struct error *write_command_line(const struct guest_memory *memory, const char *text)
{
    size_t length = strlen(text);
    if (length >= BOOT_COMMAND_LINE_MAX)
        return error_new(ERROR_INVALID_ARGUMENT,
            "the kernel's command line has %zu characters; %u are the most", length,
            BOOT_COMMAND_LINE_MAX - 1);
    return guest_memory_write(memory, COMMAND_LINE_ADDRESS, text, length + 1);
}

static struct error *write_processors(const struct guest_memory *memory, unsigned processors)
{
    uint8_t table[MPTABLE_SIZE_MAX];
    return guest_memory_write(memory, MPTABLE_ADDRESS, table, mptable_fill(processors, table));
}

struct error *boot_load(
    const struct guest_memory *memory, const struct boot_request *request, struct boot_entry *ret_entry)
{
    struct elf_image image;
    struct blob initrd = {0};
    if (memory->regions[0].size <= 2 * MIB)
        return too_small(memory);
    TRY(elf_read(request->kernel, &image));
    TRY(load_initrd(memory, request->initrd, &initrd));
    uint64_t end = initrd.size ? initrd.address : memory->regions[0].size;
    TRY(load_kernel(memory, request->kernel, &image, end));
    TRY(write_command_line(memory, request->command_line));
    TRY(write_processors(memory, request->processors));
    TRY(image.has_pvh ? write_start_info(memory, &initrd) : prepare_long_mode(memory, &initrd));
    *ret_entry = (struct boot_entry){
        .long_mode = !image.has_pvh,
        .instruction = image.has_pvh ? image.pvh_entry : image.entry,
        .argument = image.has_pvh ? START_INFO_ADDRESS : BOOT_PARAMS_ADDRESS,
    };
    return NULL;
}
