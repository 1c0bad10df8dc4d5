/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest for tests: the least /init that answers on the link. What it does depends on the port that the host
 * connects to:
 *     7  echoes
 *     1  powers off
 *     2  exits, so that the kernel panics
 *     3  says what it sees: "cpus=N memory=KIB disks=vda,vdb"
 *     4  mounts the share and says what is in it, after writing a file where it can
 *     5  writes and reads the second disk's file system
 */
#include "base/error.h"
#include "base/fd.h"
#include "mux/mux.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

static void complain(const char *what)
{
    dprintf(STDERR_FILENO, "guest_hello: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void see_devices(FILE *out)
{
    struct sysinfo info;
    sysinfo(&info);
    fprintf(out, "cpus=%d memory=%lu disks=", get_nprocs(), info.totalram * info.mem_unit / 1024);
    for (char disk = 'a'; disk < 'h'; disk++) {
        char path[] = "/dev/vdX";
        path[7] = disk;
        if (access(path, F_OK) == 0)
            fprintf(out, "vd%c,", disk);
    }
    fprintf(out, "\n");
}

/* One line a file: path, size, and "written" where a file could be made beside it. */
static void see_tree(FILE *out, const char *path, int depth)
{
    DIR *directory = opendir(path);
    if (!directory || depth > 4) {
        fprintf(out, "%s: %s\n", path, strerror(errno));
        return;
    }
    char mark[512];
    snprintf(mark, sizeof(mark), "%s/from-guest", path);
    int fd = open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    fprintf(out, "%s/ %s\n", path, fd >= 0 ? "writable" : strerror(errno));
    if (fd >= 0 && write(fd, "guest\n", 6) != 6)
        fprintf(out, "%s: %s\n", mark, strerror(errno));
    close_fd(fd);
    for (struct dirent *entry; (entry = readdir(directory));) {
        struct stat status;
        char below[512];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
        if (lstat(below, &status) < 0)
            fprintf(out, "%s: %s\n", below, strerror(errno));
        else if (S_ISDIR(status.st_mode))
            see_tree(out, below, depth + 1);
        else
            fprintf(out, "%s uid=%u size=%lld\n", below, status.st_uid, (long long)status.st_size);
    }
    closedir(directory);
}

static void see_share(FILE *out)
{
    /* Once: it stays, and is looked at as often as the test asks. */
    bool mounted = mkdir("/run/share", 0755) < 0;
    if (!mounted && mount("kataShared", "/run/share", "virtiofs", 0, NULL) < 0)
        fprintf(out, "mount: %s\n", strerror(errno));
    else
        see_tree(out, "/run/share", 0);
}

static void see_scratch(FILE *out)
{
    mkdir("/run/scratch", 0755);
    if (mount("/dev/vdb", "/run/scratch", "ext4", 0, NULL) < 0)
        fprintf(out, "mount: %s\n", strerror(errno));
    else
        see_tree(out, "/run/scratch", 0);
}

static void reply(struct mux_stream *stream, void (*see)(FILE *out))
{
    FILE *file = tmpfile();
    if (!file)
        complain("temporary file");
    see(file);
    fflush(file);
    rewind(file);
    int fd = dup(fileno(file));
    int pipes[2];
    if (fd < 0 || pipe2(pipes, O_CLOEXEC) < 0)
        complain("pipe");
    char text[32768];
    ssize_t length = pread(fd, text, sizeof(text), 0);
    if (length < 0 || write(pipes[1], text, (size_t)length) != length)
        complain("pipe");
    close_fd(pipes[1]);
    close_fd(fd);
    fclose(file);
    mux_attach(stream, pipes[0], -1, NULL, NULL);
}

static void echo(struct mux_stream *stream)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) < 0)
        complain("pipe");
    mux_attach(stream, pipes[0], pipes[1], NULL, NULL);
}

static bool on_incoming(void *context, uint32_t port, struct mux_stream *stream)
{
    switch (port) {
    case 1:
        reboot(RB_AUTOBOOT);
        return true;
    case 2:
        _exit(9);
    case 3:
        reply(stream, see_devices);
        return true;
    case 4:
        reply(stream, see_share);
        return true;
    case 5:
        reply(stream, see_scratch);
        return true;
    case 7:
        echo(stream);
        return true;
    default:
        return false;
    }
}

static void on_ready(void *context)
{
}

static void on_failed(void *context, const struct error *reason)
{
    dprintf(STDERR_FILENO, "guest_hello: %s\n", error_message(reason));
    _exit(1);
}

/* The port's device has the name of its directory in sysfs. */
static int open_link(void)
{
    DIR *ports = opendir("/sys/class/virtio-ports");
    if (!ports)
        complain("virtio ports");
    for (struct dirent *entry; (entry = readdir(ports));) {
        char path[512];
        char *name = NULL;
        snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
        error_free(file_read(AT_FDCWD, path, 256, &name, NULL));
        bool is_link = name && strcmp(name, "caisson.link.0\n") == 0;
        free(name);
        if (!is_link)
            continue;
        snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
        closedir(ports);
        return open(path, O_RDWR | O_CLOEXEC);
    }
    errno = ENODEV;
    complain("the link");
    return -1;
}

int main(void)
{
    (void)mount("dev", "/dev", "devtmpfs", 0, NULL);
    (void)mount("proc", "/proc", "proc", 0, NULL);
    (void)mount("sys", "/sys", "sysfs", 0, NULL);
    (void)mount("tmp", "/tmp", "tmpfs", 0, NULL);
    (void)mount("run", "/run", "tmpfs", 0, NULL);
    static const struct mux_events events = {on_ready, on_incoming, on_failed};
    struct event_base *base = event_base_new();
    struct mux *mux = NULL;
    int link = open_link();
    if (!base || link < 0)
        complain("the link");
    struct error *error = mux_new(base, link, false, &events, NULL, &mux);
    if (error)
        on_failed(NULL, error);
    event_base_dispatch(base);
    complain("the event loop ended");
}
