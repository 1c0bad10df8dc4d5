/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/elf.h"

#include <elf.h>
#include <string.h>
#include <sys/stat.h>

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define HEADERS_MAX 64
#define NOTES_MAX 65536u

/* A file of which each part that is read is known to lie within it. */
struct source {
    int fd;
    uint64_t size;
};

static struct error *damaged(const char *what)
{
    return error_new(ERROR_INVALID_ARGUMENT, "the kernel is not an ELF file to boot from: %s", what);
}

static bool lies_within(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}

static struct error *read_part(const struct source *source, uint64_t offset, void *buffer, size_t length)
{
    if (!lies_within(offset, length, source->size))
        return damaged("it ends too early");
    ssize_t count = pread(source->fd, buffer, length, (off_t)offset);
    if (count < 0)
        return error_errno(errno, "reading the kernel");
    return (size_t)count == length ? NULL : damaged("it became shorter");
}

static struct error *check_header(const Elf64_Ehdr *header)
{
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return damaged("no ELF at its beginning");
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        header->e_machine != EM_X86_64)
        return damaged("not for x86-64");
    if (header->e_type != ET_EXEC)
        return damaged("not an executable at a fixed address");
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 || header->e_phnum > HEADERS_MAX)
        return damaged("no program headers, or too many");
    return NULL;
}

static struct error *add_segment(
    const struct source *source, const Elf64_Phdr *header, struct elf_image *image)
{
    if (header->p_memsz == 0)
        return NULL;
    if (image->segment_count == ELF_SEGMENTS_MAX)
        return damaged("too many segments");
    if (!lies_within(header->p_offset, header->p_filesz, source->size) || header->p_filesz > header->p_memsz)
        return damaged("a segment is larger than the file");
    if (header->p_paddr + header->p_memsz < header->p_paddr)
        return damaged("a segment wraps around the end of memory");
    image->segments[image->segment_count++] = (struct elf_segment){
        .offset = header->p_offset,
        .file_size = header->p_filesz,
        .memory_size = header->p_memsz,
        .address = header->p_paddr,
    };
    return NULL;
}

/* Names and contents of notes are padded to four bytes. */
static uint64_t padded(uint32_t length)
{
    return ((uint64_t)length + 3) & ~UINT64_C(3);
}

/* The entry is a number of 4 or 8 bytes; code without paging cannot lie above 4 GiB. */
static struct error *take_entry(const uint8_t *contents, uint32_t length, struct elf_image *image)
{
    uint64_t entry = 0;
    if (length != 4 && length != 8)
        return damaged("a PVH note of a strange size");
    memcpy(&entry, contents, length);
    if (entry > UINT32_MAX)
        return damaged("a PVH entry above 4 GiB");
    image->has_pvh = true;
    image->pvh_entry = (uint32_t)entry;
    return NULL;
}

static struct error *scan_notes(const uint8_t *notes, size_t size, struct elf_image *image)
{
    Elf64_Nhdr note;
    for (size_t at = 0; size - at >= sizeof(note);) {
        memcpy(&note, notes + at, sizeof(note));
        at += sizeof(note);
        uint64_t name = padded(note.n_namesz), contents = padded(note.n_descsz);
        if (!lies_within(name, contents, size - at))
            return damaged("a note is larger than its segment");
        if (note.n_type == XEN_ELFNOTE_PHYS32_ENTRY && note.n_namesz == sizeof("Xen") &&
            memcmp(notes + at, "Xen", sizeof("Xen")) == 0)
            return take_entry(notes + at + name, note.n_descsz, image);
        at += name + contents;
    }
    return NULL;
}

static struct error *read_notes(
    const struct source *source, const Elf64_Phdr *header, struct elf_image *image)
{
    if (header->p_filesz > NOTES_MAX)
        return damaged("too many notes");
    _cleanup_free_ uint8_t *notes = must_alloc(header->p_filesz + 1);
    TRY(read_part(source, header->p_offset, notes, header->p_filesz));
    return scan_notes(notes, header->p_filesz, image);
}

struct error *elf_read(int fd, struct elf_image *ret_image)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_errno(errno, "looking at the kernel");
    const struct source source = {.fd = fd, .size = (uint64_t)status.st_size};
    Elf64_Ehdr header;
    Elf64_Phdr programs[HEADERS_MAX];
    TRY(read_part(&source, 0, &header, sizeof(header)));
    TRY(check_header(&header));
    TRY(read_part(&source, header.e_phoff, programs, header.e_phnum * sizeof(programs[0])));
    struct elf_image image = {.entry = header.e_entry};
    for (size_t i = 0; i < header.e_phnum; i++) {
        if (programs[i].p_type == PT_LOAD)
            TRY(add_segment(&source, &programs[i], &image));
        if (programs[i].p_type == PT_NOTE && !image.has_pvh)
            TRY(read_notes(&source, &programs[i], &image));
    }
    if (image.segment_count == 0)
        return damaged("nothing to load");
    *ret_image = image;
    return NULL;
}
