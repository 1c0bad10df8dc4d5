/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small root file system (busybox) and a config.json as `runc spec` writes it, to make real containers from
 * in a test. Everything lies in one temporary directory that world_free removes.
 */
#pragma once

#include "agent/container/container.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/path.h"
#include "base/process.h"
#include "oci/config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <cmocka.h>

#define BUSYBOX "/bin/busybox"
#define CGROUP2_MAGIC 0x63677270

struct world {
    char directory[64];
    char *rootfs;
    const char *cgroup_root;
    int next_id;
};

static const char default_config[] =
    "{\"ociVersion\":\"1.0.2\","
    "\"process\":{\"terminal\":false,\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"sh\"],"
    "\"env\":[\"PATH=/bin\",\"TERM=xterm\"],\"cwd\":\"/\","
    "\"capabilities\":{"
    "\"bounding\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],"
    "\"effective\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],"
    "\"permitted\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],"
    "\"ambient\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"]},"
    "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":1024,\"soft\":1000}],\"noNewPrivileges\":true},"
    "\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"runc\","
    "\"mounts\":["
    "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
    "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
    "\"options\":[\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"]},"
    "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\","
    "\"options\":[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"]},"
    "{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\","
    "\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"]},"
    "{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\","
    "\"options\":[\"nosuid\",\"noexec\",\"nodev\"]},"
    "{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\","
    "\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]}],"
    "\"linux\":{\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]},"
    "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"},"
    "{\"type\":\"cgroup\"}],"
    "\"maskedPaths\":[\"/proc/acpi\",\"/proc/kcore\",\"/proc/keys\",\"/proc/timer_list\",\"/sys/firmware\","
    "\"/proc/scsi\"],"
    "\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]}}";

static inline void check(struct error *error)
{
    if (error)
        fail_msg("%s: %s", error_code_name(error_code(error)), error_message(error));
}

static inline const char *find_cgroup_root(void)
{
    static const char *const candidates[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
        struct statfs status;
        if (statfs(candidates[i], &status) == 0 && status.f_type == CGROUP2_MAGIC &&
            access(candidates[i], W_OK) == 0)
            return candidates[i];
    }
    return NULL;
}

static inline void world_write(const struct world *world, const char *path, const char *text, mode_t mode)
{
    _cleanup_free_ char *full = must_printf("%s%s", world->rootfs, path);
    check(file_write_text(AT_FDCWD, full, text));
    assert_int_equal(chmod(full, mode), 0);
}

static inline void world_make_rootfs(struct world *world)
{
    static const char *const directories[] = {"", "/bin", "/etc", "/proc", "/sys", "/dev", "/tmp", "/data"};
    static const char *const applets[] = {"sh", "cat", "id", "ls", "echo", "true", "false", "sleep", "stat",
        "readlink", "grep", "mknod", "touch", "kill", "ulimit", "hostname", "head", "dd", "tty", "test",
        "mkdir", "umount", "ps", "env", "pwd", "dirname", "wc", "sort", "unshare", "stty", "getconf",
        "printenv"};
    world->rootfs = must_printf("%s/rootfs", world->directory);
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        _cleanup_free_ char *path = must_printf("%s%s", world->rootfs, directories[i]);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    _cleanup_free_ char *busybox = NULL;
    size_t length = 0;
    check(file_read(AT_FDCWD, BUSYBOX, 16u << 20, &busybox, &length));
    _cleanup_free_ char *target = must_printf("%s/bin/busybox", world->rootfs);
    check(file_write(AT_FDCWD, target, busybox, length));
    assert_int_equal(chmod(target, 0755), 0);
    for (size_t i = 0; i < ARRAY_SIZE(applets); i++) {
        _cleanup_free_ char *link = must_printf("%s/bin/%s", world->rootfs, applets[i]);
        assert_int_equal(symlink("busybox", link), 0);
    }
    world_write(world, "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nstaff:x:1000:1000:Staff:/home/staff:/bin/sh\n", 0644);
    world_write(world, "/etc/group",
        "root:x:0:\nwheel:x:10:staff,other\nstaff:x:1000:\naudio:x:29:other,staff\n", 0644);
}

static inline struct world *world_new(void)
{
    struct world *world = must_new(struct world);
    world->cgroup_root = find_cgroup_root();
    strcpy(world->directory, "/tmp/caisson-container-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    assert_int_equal(chmod(world->directory, 0755), 0);
    world_make_rootfs(world);
    return world;
}

static inline void world_free(struct world *world)
{
    check(tree_remove(world->directory));
    free(world->rootfs);
    free(world);
}

/* The default configuration with a shell command, for a test to change. */
static inline json_t *config_new(const char *script)
{
    json_t *config = NULL;
    check(json_read("config", default_config, strlen(default_config), &config));
    json_t *process = json_object_get(config, "process");
    json_object_set_new(process, "args", json_pack("[sss]", "sh", "-c", script));
    return config;
}

/* Sets a member by a dotted path; every object on the way exists. */
static inline void config_set(json_t *config, const char *path, json_t *value)
{
    _cleanup_free_ char *copy = must_copy(path);
    char *rest = NULL;
    char *name = strtok_r(copy, ".", &rest);
    for (char *next; (next = strtok_r(NULL, ".", &rest)); name = next) {
        config = json_object_get(config, name);
        assert_non_null(config);
    }
    assert_int_equal(json_object_set_new(config, name, value), 0);
}

static inline void config_add_mount(json_t *config, json_t *mount)
{
    assert_int_equal(json_array_append_new(json_object_get(config, "mounts"), mount), 0);
}

/* Takes the configuration. */
static inline Grpc__Spec *config_spec(const struct world *world, json_t *config)
{
    config_set(config, "root.path", json_string(world->rootfs));
    _cleanup_free_ char *text = json_write(config);
    json_decref(config);
    Grpc__Spec *spec = NULL;
    check(oci_config_parse(text, strlen(text), &spec));
    return spec;
}

/* A container whose output and errors go into one pipe, of which *ret_reader is the end to read. */
static inline struct error *world_create(struct world *world, json_t *config, bool init,
    struct container **ret_container, struct container_process *ret_process, int *ret_reader)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    char id[32];
    snprintf(id, sizeof(id), "unit-%d-%d", (int)getpid(), world->next_id++);
    struct container_options options = {
        .id = id,
        .bundle = world->directory,
        .spec = config_spec(world, config),
        .streams = {.input = -1, .output = ends[1], .errors = ends[1]},
        .pid_namespace = -1,
        .init = init,
        .cgroup_root = world->cgroup_root,
    };
    struct error *error = container_create(&options, ret_container, ret_process);
    close(ends[1]);
    if (error) {
        oci_spec_free(options.spec);
        close(ends[0]);
        return error;
    }
    *ret_reader = ends[0];
    return NULL;
}

static inline int reap(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return process_exit_code(status);
}

/* Runs to the end and gives what was written; the exit code is returned. Takes the configuration. */
static inline int world_run_config(struct world *world, json_t *config, char **ret_output)
{
    struct container *container;
    struct container_process process;
    _cleanup_fd_ int reader = -1;
    check(world_create(world, config, false, &container, &process, &reader));
    check(container_start(container));
    check(fd_read_all(reader, 1u << 20, ret_output, NULL));
    int code = reap(process.pid);
    check(container_destroy(container));
    return code;
}

static inline int world_run(struct world *world, const char *script, char **ret_output)
{
    return world_run_config(world, config_new(script), ret_output);
}

/* The error of a container that cannot be created or started. Takes the configuration. */
static inline struct error *world_fail(struct world *world, json_t *config)
{
    struct container *container;
    struct container_process process;
    _cleanup_fd_ int reader = -1;
    struct error *error = world_create(world, config, false, &container, &process, &reader);
    if (error)
        return error;
    error = container_start(container);
    reap(process.pid);
    check(container_destroy(container));
    return error;
}

#define NEEDS_ROOT_AND_CGROUP(world)                \
    do {                                            \
        if (getuid() != 0 || !(world)->cgroup_root) \
            skip();                                 \
    } while (0)
