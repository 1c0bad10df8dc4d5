/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/compare.h"

#include "base/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define FILES_EACH 40
#define FILE_BYTES 2000

static struct error *copy_program(const char *from, const char *to)
{
    _cleanup_fd_ int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return error_errno(errno, "the probe %s; install Caisson as a whole", from);
    _cleanup_fd_ int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    ssize_t count = 1;
    while (out >= 0 && (count = sendfile(out, in, NULL, 1 << 20)) > 0)
        continue;
    return out < 0 || count < 0 || fchmod(out, 0755) < 0 ? error_errno(errno, "copying the probe to %s", to)
                                                         : NULL;
}

/* A tree as a distribution's /usr: directories of a few dozen small files. */
static struct error *make_files(const char *directory)
{
    char content[FILE_BYTES];
    memset(content, '.', sizeof(content));
    for (int i = 0; i < ROOTFS_FILES / FILES_EACH; i++) {
        _cleanup_free_ char *below = must_printf("%s/usr/share/files-%02d", directory, i);
        if (mkdir(below, 0755) < 0)
            return error_errno(errno, "making %s", below);
        for (int j = 0; j < FILES_EACH; j++) {
            _cleanup_free_ char *file = must_printf("%s/%02d", below, j);
            TRY(file_write(AT_FDCWD, file, content, sizeof(content)));
        }
    }
    return NULL;
}

struct error *rootfs_make(const char *directory, const char *probe)
{
    static const struct {
        const char *path;
        mode_t mode;
    } directories[] = {{"", 0755}, {"/dev", 0755}, {"/etc", 0755}, {"/proc", 0755}, {"/sys", 0755},
        {"/tmp", 01777}, {"/usr", 0755}, {"/usr/share", 0755}, {"/volume", 0755}};
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        _cleanup_free_ char *path = must_printf("%s%s", directory, directories[i].path);
        if (mkdir(path, directories[i].mode) < 0 || chmod(path, directories[i].mode) < 0)
            return error_errno(errno, "making %s", path);
    }
    _cleanup_free_ char *passwd = must_printf("%s/etc/passwd", directory);
    _cleanup_free_ char *program = must_printf("%s/probe", directory);
    TRY(file_write_text(AT_FDCWD, passwd, "root:x:0:0:root:/:/probe\n"));
    TRY(copy_program(probe, program));
    return make_files(directory);
}
