/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile driver of each device: the first byte picks the device, the rest are steps of a guest that writes
   registers, rings and buffers as it likes, and of a peer at the device's other end. Whatever comes, the
   device stops or goes on, and ends in an orderly way. */
#include "../unit/vmm_driver.h"
#include "base/fd.h"
#include "vmm/virtio/balloon.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/console.h"
#include "vmm/virtio/fs.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/rng.h"
#include "vmm/virtio/vsock.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#define STEPS_MAX 256

struct input {
    const uint8_t *data;
    size_t left;
};

struct world {
    struct driver driver;
    struct worker_pool *pool;
    int peer;       /* the other end of the device's socket, or -1 */
    int device_end; /* for the device to take */
    int client;     /* that has connected to the device's listener, or -1 */
};

static uint64_t take(struct input *input, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes && input->left > 0; i++, input->data++, input->left--)
        value |= (uint64_t)*input->data << 8 * i;
    return value;
}

static struct virtio_device *make_rng(struct world *world, struct input *input)
{
    return rng_new(world->driver.bus);
}

static struct virtio_device *make_balloon(struct world *world, struct input *input)
{
    return balloon_new(world->driver.bus, true);
}

static struct virtio_device *make_console(struct world *world, struct input *input)
{
    struct virtio_device *device = NULL;
    error_free(console_new(world->driver.bus, TAKE_FD(world->device_end), "port", &device));
    return device;
}

static struct virtio_device *make_blk(struct world *world, struct input *input)
{
    struct virtio_device *device = NULL;
    struct blk_options options = {.fd = memfd_create("disk", MFD_CLOEXEC), .durable = true};
    error_free(worker_pool_new(world->driver.bus, 1, NULL, &world->pool));
    if (ftruncate(options.fd, 65536 + 100) == 0)
        error_free(blk_new(world->driver.bus, world->pool, &options, &device));
    return device;
}

static void speak(struct world *world, struct input *input)
{
    uint8_t bytes[256];
    size_t length = take(input, 1);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)take(input, 1);
    send(world->client >= 0 ? world->client : world->peer, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The server agrees to everything; what it says then is the input's, all of it beforehand, so that nobody
   waits for an answer. */
static struct virtio_device *make_fs(struct world *world, struct input *input)
{
    static const uint32_t answers[] = {1, 5, 8, 0x70000000, 1, 15, 5, 8, 0, 0};
    struct virtio_device *device = NULL;
    error_free(fd_write_all(world->peer, answers, sizeof(answers)));
    speak(world, input);
    shutdown(world->peer, SHUT_WR);
    error_free(fs_new(world->driver.bus, TAKE_FD(world->device_end), "tag", &device));
    return device;
}

/* A tap in a network namespace of the fuzzer's own, or -1: then there is no net device to fuzz. */
static int open_tap(void)
{
    struct ifreq request = {.ifr_name = "fuzz0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    static bool tried, has_namespace;
    if (!tried)
        has_namespace = unshare(CLONE_NEWNET) == 0;
    tried = true;
    _cleanup_fd_ int tap = has_namespace ? open("/dev/net/tun", O_RDWR | O_CLOEXEC) : -1;
    _cleanup_fd_ int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (tap < 0 || ioctl(tap, TUNSETIFF, &request) < 0)
        return -1;
    request.ifr_flags = IFF_UP;
    ioctl(control, SIOCSIFFLAGS, &request);
    return TAKE_FD(tap);
}

static struct virtio_device *make_net(struct world *world, struct input *input)
{
    struct virtio_device *device = NULL;
    const struct net_options options = {.tap = open_tap(), .transmit = {.bytes_per_second = 1000000}};
    error_free(net_new(world->driver.bus, &options, &device));
    return device;
}

static int on_connect(void *context, uint32_t port)
{
    struct world *world = context;
    return port & 1 ? TAKE_FD(world->device_end) : -1;
}

/* A listener that the peer has connected to already, by an abstract address that the kernel picks. */
static int open_listener(struct world *world)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(address);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0 || listen(listener, 4) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        abort();
    world->client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(world->client, (struct sockaddr *)&address, length) < 0)
        abort();
    return listener;
}

static struct virtio_device *make_vsock(struct world *world, struct input *input)
{
    struct virtio_device *device = NULL;
    const struct vsock_options options = {
        .guest_cid = 42, .listener = open_listener(world), .connect = on_connect, .context = world};
    error_free(vsock_new(world->driver.bus, &options, &device));
    return device;
}

static struct virtio_device *(*const makers[])(struct world *world, struct input *input) = {
    make_rng, make_console, make_blk, make_balloon, make_net, make_fs, make_vsock};

static void offer(struct driver *driver, struct input *input)
{
    struct driver_part parts[4];
    unsigned queue = (unsigned)take(input, 1) % driver->device->queue_count, count = 1 + take(input, 1) % 4;
    for (unsigned i = 0; i < count; i++) {
        uint64_t what = take(input, 1);
        parts[i] = (struct driver_part){.address = DRIVER_BUFFERS + take(input, 2),
            .length = (uint32_t)take(input, what & 2 ? 4 : 1),
            .writable = what & 1};
        if (what & 4)
            parts[i].address = take(input, 8);
    }
    driver_offer(driver, queue, parts, count);
    driver_notify(driver, queue);
}

static void write_memory(struct driver *driver, struct input *input)
{
    uint64_t at =
        take(input, 1) & 1 ? DRIVER_BUFFERS + take(input, 2) : DRIVER_RINGS + take(input, 2) % 0x18000;
    for (unsigned length = (unsigned)take(input, 1); length > 0 && input->left > 0; length--)
        *(uint8_t *)driver_at(driver, at++) = (uint8_t)take(input, 1);
}

static void access_any(struct driver *driver, struct input *input)
{
    uint64_t offset = take(input, 2) % 0x200, value = 0;
    unsigned length = 1u << take(input, 1) % 4;
    bool is_write = take(input, 1) & 1;
    if (is_write)
        value = take(input, length);
    virtio_mmio_access(driver->mmio, offset, &value, length, is_write);
}

static void turn(struct world *world)
{
    driver_turn(&world->driver);
    if (world->pool)
        worker_settle(world->pool);
}

static void step(struct world *world, struct input *input)
{
    struct driver *driver = &world->driver;
    switch (take(input, 1) % 8) {
    case 0:
        driver_start(driver,
            take(input, 1) & 1 ? driver->device->features | take(input, 8) : driver->device->features);
        return;
    case 1:
        offer(driver, input);
        return;
    case 2:
        write_memory(driver, input);
        return;
    case 3:
        access_any(driver, input);
        return;
    case 4:
        speak(world, input);
        return;
    case 5:
        driver_notify(driver, (unsigned)take(input, 1));
        return;
    default:
        turn(world);
        return;
    }
}

static void run(struct world *world, struct input *input, struct virtio_device *device)
{
    error_free(driver_attach(&world->driver, device));
    for (unsigned i = 0; i < STEPS_MAX && input->left > 0; i++)
        step(world, input);
    turn(world);
    shutdown(world->peer, SHUT_WR);
    turn(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.peer = -1, .device_end = -1, .client = -1};
    struct input input = {.data = data, .left = size};
    error_free(driver_open(&world.driver, true));
    error_free(unix_pair(&world.peer, &world.device_end));
    struct virtio_device *device = makers[take(&input, 1) % ARRAY_SIZE(makers)](&world, &input);
    if (device)
        run(&world, &input, device);
    virtio_mmio_free(TAKE_PTR(world.driver.mmio));
    virtio_device_free(TAKE_PTR(world.driver.device));
    worker_pool_free(world.pool);
    driver_close(&world.driver);
    close_fd(world.peer);
    close_fd(world.device_end);
    close_fd(world.client);
    return 0;
}
