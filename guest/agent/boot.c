/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/boot.h"

#include "base/fd.h"
#include "base/strv.h"

#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

struct boot_mount {
    const char *type;
    const char *target;
    unsigned long flags;
    const char *data;
    bool optional; /* kernels may lack it */
};

void boot_mark(struct boot_timings *timings, const char *name)
{
    if (timings->count == BOOT_MARKS)
        return;
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    timings->marks[timings->count].name = name;
    timings->marks[timings->count++].microseconds = now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void boot_report(const struct boot_timings *timings, const struct kmsg *kmsg)
{
    char line[400] = "";
    size_t used = 0;
    for (size_t i = 0; i < timings->count && used < sizeof(line); i++) {
        int length = snprintf(line + used, sizeof(line) - used, " %s %ld.%03ld", timings->marks[i].name,
            timings->marks[i].microseconds / 1000, timings->marks[i].microseconds % 1000);
        used += length > 0 ? (size_t)length : 0;
    }
    kmsg_write(kmsg, KMSG_ERROR, "timings in ms:%s", line);
}

static struct error *mount_all(const struct boot_mount *mounts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct boot_mount *m = &mounts[i];
        if (mkdir(m->target, 0755) < 0 && errno != EEXIST)
            return error_errno(errno, "making %s", m->target);
        if (mount(m->type, m->target, m->type, m->flags, m->data) < 0 && !m->optional)
            return error_errno(errno, "mounting %s on %s", m->type, m->target);
    }
    return NULL;
}

struct error *boot_mount_devices(void)
{
    static const struct boot_mount mounts[] = {
        {"devtmpfs", "/dev", MS_NOSUID, "mode=0755", false},
        {"sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, false},
    };
    return mount_all(mounts, ARRAY_SIZE(mounts));
}

/* "cpu memory pids" becomes "+cpu +memory +pids". In one write: each has the kernel wait for all of its
   processors. */
static struct error *enable_controllers(void)
{
    _cleanup_free_ char *text = NULL;
    TRY(file_read(AT_FDCWD, "/sys/fs/cgroup/cgroup.controllers", 4096, &text, NULL));
    text[strcspn(text, "\n")] = '\0';
    _cleanup_strv_ char **names = strv_split(text, ' ');
    _cleanup_free_ char *joined = strv_join(names, " +");
    _cleanup_free_ char *enable = must_printf("+%s", joined);
    return file_write_text(AT_FDCWD, "/sys/fs/cgroup/cgroup.subtree_control", enable);
}

struct error *boot_mount_rest(void)
{
    static const struct boot_mount mounts[] = {
        {"proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, false},
        {"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755", false},
        {"tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777", false},
        {"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666", false},
        {"tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777", false},
        {"mqueue", "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, true},
        {"cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, false},
    };
    TRY(mount_all(mounts, ARRAY_SIZE(mounts)));
    return error_wrap(enable_controllers(), "enabling the controllers of control groups");
}

struct error *boot_options_read(struct boot_options *ret_options)
{
    _cleanup_free_ char *text = NULL;
    TRY(file_read(AT_FDCWD, "/proc/cmdline", 8192, &text, NULL));
    text[strcspn(text, "\n")] = '\0';
    _cleanup_strv_ char **words = strv_split(text, ' ');
    *ret_options = (struct boot_options){.timings = strv_contains(words, "caisson.timings")};
    return NULL;
}

struct error *boot_loopback_up(void)
{
    _cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(errno, "making a socket");
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        return error_errno(errno, "bringing the loopback interface up");
    return NULL;
}

/* Lazily, from the newest to the oldest: only disks keep what was written, and only overlays hold them.
   Targets with escaped characters are containers' own and end with their namespaces. */
static void unmount_disks(void)
{
    _cleanup_free_ char *table = NULL;
    error_free(file_read(AT_FDCWD, "/proc/self/mounts", 4u << 20, &table, NULL));
    if (!table)
        return;
    _cleanup_strv_ char **lines = strv_split(table, '\n');
    for (size_t i = strv_length(lines); i-- > 0;) {
        char *rest = NULL;
        const char *source = strtok_r(lines[i], " ", &rest);
        const char *target = strtok_r(NULL, " ", &rest);
        if (target && (strncmp(source, "/dev/", 5) == 0 || strcmp(source, "overlay") == 0))
            umount2(target, MNT_DETACH);
    }
}

void boot_power_off(void)
{
    unmount_disks();
    sync();
    bool knows_power_off = access("/sys/firmware/acpi", F_OK) == 0;
    reboot(knows_power_off ? RB_POWER_OFF : RB_AUTOBOOT);
    /* Not reached as PID 1; elsewhere there is no machine to end. */
    _exit(1);
}
