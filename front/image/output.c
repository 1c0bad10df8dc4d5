/* SPDX-License-Identifier: Apache-2.0 */
#include "image/output.h"

#include <fcntl.h>
#include <string.h>

enum {
    BUFFER_SIZE = 256 * 1024,
    WRITE_BACK_STEP = 16 * 1024 * 1024,
};

struct output {
    int fd;
    uint64_t flushed;    /* file offset of buffer[0] */
    uint64_t write_back; /* the kernel was asked to write everything before */
    size_t used;
    char buffer[BUFFER_SIZE];
};

struct output *output_new(int fd)
{
    struct output *output = must_new(struct output);
    output->fd = fd;
    return output;
}

void output_free(struct output *output)
{
    free(output);
}

uint64_t output_position(const struct output *output)
{
    return output->flushed + output->used;
}

static struct error *write_at(int fd, uint64_t offset, const void *data, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t count = pwrite(fd, (const char *)data + done, length - done, (off_t)(offset + done));
        if (count < 0 && errno != EINTR)
            return error_errno(errno, "writing the image file");
        if (count > 0)
            done += (size_t)count;
    }
    return NULL;
}

static struct error *flush(struct output *output)
{
    TRY(write_at(output->fd, output->flushed, output->buffer, output->used));
    output->flushed += output->used;
    output->used = 0;
    if (output->flushed - output->write_back < WRITE_BACK_STEP)
        return NULL;
    /* A hint only: where it fails, fsync does the work. */
    sync_file_range(output->fd, (off_t)output->write_back, (off_t)(output->flushed - output->write_back),
        SYNC_FILE_RANGE_WRITE);
    output->write_back = output->flushed;
    return NULL;
}

struct error *output_write(struct output *output, const void *data, size_t length)
{
    const char *place = data;
    while (length > 0) {
        size_t piece = BUFFER_SIZE - output->used;
        if (piece > length)
            piece = length;
        memcpy(output->buffer + output->used, place, piece);
        output->used += piece;
        place += piece;
        length -= piece;
        if (output->used == BUFFER_SIZE)
            TRY(flush(output));
    }
    return NULL;
}

struct error *output_skip(struct output *output, uint64_t length)
{
    static const char zeros[OUTPUT_BLOCK];
    if (length <= OUTPUT_BLOCK)
        return output_write(output, zeros, (size_t)length);
    TRY(flush(output));
    output->flushed += length;
    return NULL;
}

struct error *output_align(struct output *output, uint64_t alignment)
{
    uint64_t beyond = output_position(output) % alignment;
    return beyond ? output_skip(output, alignment - beyond) : NULL;
}

struct error *output_write_at(struct output *output, uint64_t offset, const void *data, size_t length)
{
    TRY(flush(output));
    return write_at(output->fd, offset, data, length);
}

struct error *output_discard(struct output *output, uint64_t offset, uint64_t length)
{
    if (offset + length > output->flushed)
        TRY(flush(output));
    if (length > 0)
        fallocate(output->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
    return NULL;
}

struct error *output_finish(struct output *output)
{
    TRY(flush(output));
    if (ftruncate(output->fd, (off_t)output->flushed) < 0)
        return error_errno(errno, "setting the size of the image file");
    if (fsync(output->fd) < 0)
        return error_errno(errno, "writing the image file to the disk");
    return NULL;
}
