/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/template_store.h"

#include "base/fd.h"
#include "base/json.h"
#include "base/path.h"
#include "hv/file_mark.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define FORMAT_VERSION 1
/* Without the memory it is some tens of kilobytes. */
#define STATE_MAX (16u << 20)

/* ---- what it depends on ---- */

/* FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/): against accidents; who may write here is the user. */
static uint64_t hash_bytes(const char *bytes, size_t length)
{
    uint64_t value = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++)
        value = (value ^ (uint8_t)bytes[i]) * 0x100000001b3u;
    return value;
}

/* A template does not outlive its host's boot: what the processor can do, and its clock, may be others. */
static struct error *list_inputs(const struct hv_ops *ops, const struct hv_config *config, char **ret_inputs)
{
    _cleanup_free_ char *identity = NULL, *kernel = NULL, *initrd = NULL, *boot = NULL;
    TRY(hv_identity(ops, &identity));
    TRY(error_wrap(file_mark(config->kernel, &kernel), "guest kernel"));
    TRY(error_wrap(file_mark(config->initrd, &initrd), "guest initrd"));
    TRY(file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &boot, NULL));
    boot[strcspn(boot, "\n")] = '\0';
    *ret_inputs = must_printf("caisson %s\nhypervisor %s %s\nkernel %s\ninitrd %s" TEMPLATE_BOOT_LINE "%s\n"
                              "vcpus %u\nmemory %" PRIu64 "\nconsole %s\nparameters %s\n",
        CAISSON_VERSION, ops->name, identity, kernel, initrd, boot, config->vcpus, config->memory,
        config->debug ? "verbose" : "quiet", config->append ? config->append : "");
    return NULL;
}

/* Made where it is missing; one that others can enter is refused. */
static struct error *check_directory(const char *path)
{
    struct stat status;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_errno(errno, "making %s", path);
    if (lstat(path, &status) < 0)
        return error_errno(errno, "%s", path);
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 077) != 0)
        return error_new(ERROR_PERMISSION_DENIED,
            "templates are not kept in %s: it is not a directory that only you can enter (mode 0700)", path);
    return NULL;
}

struct error *template_place_find(const char *directory, const struct hv_ops *ops,
    const struct hv_config *config, struct template_place *ret_place)
{
    char *inputs = NULL;
    TRY(check_directory(directory));
    TRY(list_inputs(ops, config, &inputs));
    *ret_place = (struct template_place){
        .directory = must_printf("%s/%016" PRIx64, directory, hash_bytes(inputs, strlen(inputs))),
        .inputs = inputs,
        .lock = -1};
    return NULL;
}

void template_place_clear(struct template_place *place)
{
    free(TAKE_PTR(place->directory));
    free(TAKE_PTR(place->inputs));
    close_fd(TAKE_FD(place->lock));
}

static struct error *take_lock(struct template_place *place, bool alone)
{
    if (place->lock < 0) {
        _cleanup_free_ char *path = must_printf("%s.lock", place->directory);
        place->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (place->lock < 0)
            return error_errno(errno, "%s", path);
    }
    if (flock(place->lock, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
        return NULL;
    if (errno == EWOULDBLOCK)
        return error_new(ERROR_ALREADY_EXISTS, "the template is being made or used by another start");
    return error_errno(errno, "locking %s", place->directory);
}

/* Its time tells template_sweep when the template was last used. A file that was removed between being opened
   and being locked locks nothing. */
struct error *template_place_lock(struct template_place *place, bool alone)
{
    for (;;) {
        struct stat status;
        TRY(take_lock(place, alone));
        if (fstat(place->lock, &status) == 0 && status.st_nlink > 0)
            break;
        close_fd(TAKE_FD(place->lock));
    }
    (void)futimens(place->lock, NULL);
    return NULL;
}

char *template_place_file(const struct template_place *place, bool is_new, const char *name)
{
    return must_printf("%s%s/%s", place->directory, is_new ? ".new" : "", name);
}

/* ---- reading ---- */

/* The same text when it is written and when it is compared. */
static struct error *describe(const struct template_place *place, bool is_new, int state, char **ret_text)
{
    _cleanup_free_ char *path = template_place_file(place, is_new, "memory");
    _cleanup_free_ char *bytes = NULL;
    struct stat memory;
    size_t length = 0;
    TRY(fd_read_all(state, STATE_MAX, &bytes, &length));
    if (stat(path, &memory) < 0)
        return error_errno(errno, "%s", path);
    _cleanup_json_ json_t *description = json_pack("{s:i, s:s, s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I}}",
        "version", FORMAT_VERSION, "inputs", place->inputs, "memory", "size", (json_int_t)memory.st_size,
        "inode", (json_int_t)memory.st_ino, "changed_seconds", (json_int_t)memory.st_ctim.tv_sec,
        "changed_nanoseconds", (json_int_t)memory.st_ctim.tv_nsec, "state", "size", (json_int_t)length,
        "hash", (json_int_t)hash_bytes(bytes, length));
    *ret_text = json_write(description);
    return NULL;
}

static struct error *open_state(const struct template_place *place, bool is_new, int *ret_fd)
{
    _cleanup_free_ char *path = template_place_file(place, is_new, "state");
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return *ret_fd < 0 ? error_errno(errno, "%s", path) : NULL;
}

struct error *template_place_open(const struct template_place *place, int *ret_state)
{
    _cleanup_free_ char *path = template_place_file(place, false, "template.json");
    _cleanup_free_ char *written = NULL, *found = NULL;
    _cleanup_fd_ int state = -1;
    TRY(file_read(AT_FDCWD, path, TEMPLATE_DESCRIPTION_MAX, &written, NULL));
    TRY(open_state(place, false, &state));
    TRY(describe(place, false, state, &found));
    if (strcmp(written, found) != 0)
        return error_new(ERROR_FAILED_PRECONDITION,
            "the template %s is damaged or of another version: its files are not as they were made",
            place->directory);
    if (lseek(state, 0, SEEK_SET) < 0)
        return error_errno(errno, "%s", place->directory);
    *ret_state = TAKE_FD(state);
    return NULL;
}

/* ---- writing ---- */

static void remove_tree(const struct template_place *place, bool is_new)
{
    _cleanup_free_ char *path = must_printf("%s%s", place->directory, is_new ? ".new" : "");
    error_free(tree_remove(path));
}

void template_place_abandon(const struct template_place *place)
{
    remove_tree(place, true);
}

void template_place_remove(const struct template_place *place)
{
    remove_tree(place, false);
}

/* Everybody may open the memory: QEMU is a user of its own, which sees the file but not the directory. */
struct error *template_place_begin(const struct template_place *place, uint64_t memory)
{
    _cleanup_free_ char *directory = must_printf("%s.new", place->directory);
    _cleanup_free_ char *path = template_place_file(place, true, "memory");
    remove_tree(place, true);
    if (mkdir(directory, 0700) < 0)
        return error_errno(errno, "making %s", directory);
    _cleanup_fd_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || fchmod(fd, 0666) < 0 || ftruncate(fd, (off_t)memory) < 0)
        return error_errno(errno, "making %s", path);
    return NULL;
}

struct error *template_place_publish(const struct template_place *place)
{
    _cleanup_free_ char *from = must_printf("%s.new", place->directory);
    _cleanup_free_ char *path = template_place_file(place, true, "template.json");
    _cleanup_free_ char *description = NULL;
    _cleanup_fd_ int state = -1;
    TRY(open_state(place, true, &state));
    TRY(describe(place, true, state, &description));
    TRY(file_write_text(AT_FDCWD, path, description));
    remove_tree(place, false);
    if (rename(from, place->directory) < 0)
        return error_errno(errno, "keeping the template %s", place->directory);
    return NULL;
}
