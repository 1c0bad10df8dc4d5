/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>

/* The slave is bound over an empty file, so that opening /dev/console opens this terminal. */
static struct error *mount_console(int slave)
{
    if (mknod("/dev/console", S_IFREG | 0666, 0) < 0 && errno != EEXIST)
        return error_errno(errno, "making /dev/console");
    _cleanup_fd_ int tree = open_tree(slave, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0 || move_mount(tree, "", AT_FDCWD, "/dev/console", MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return error_errno(errno, "binding the terminal to /dev/console");
    return NULL;
}

static struct error *open_pair(int *ret_master, int *ret_slave)
{
    _cleanup_fd_ int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0)
        return error_errno(errno, "opening a terminal in the container's /dev/pts");
    int unlocked = 0;
    if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
        return error_errno(errno, "unlocking the terminal");
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return error_errno(errno, "opening the terminal's other side");
    *ret_master = TAKE_FD(master);
    *ret_slave = slave;
    return NULL;
}

static struct error *make_controlling(int slave)
{
    for (int fd = 0; fd < 3; fd++)
        if (dup2(slave, fd) < 0)
            return error_errno(errno, "connecting the terminal");
    if (ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
        return error_errno(errno, "making the terminal the controlling one");
    return NULL;
}

struct error *terminal_open(const Grpc__Box *size, bool console, int *ret_master)
{
    _cleanup_fd_ int master = -1;
    _cleanup_fd_ int slave = -1;
    TRY(open_pair(&master, &slave));
    if (size && size->width && size->height) {
        struct winsize window = {
            .ws_col = (unsigned short)size->width, .ws_row = (unsigned short)size->height};
        if (ioctl(master, TIOCSWINSZ, &window) < 0)
            return error_errno(errno, "setting the size of the terminal");
    }
    if (console)
        TRY(mount_console(slave));
    TRY(make_controlling(slave));
    *ret_master = TAKE_FD(master);
    return NULL;
}
