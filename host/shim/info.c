/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/commit.h"
#include "shim/shim.h"

#include "base/fd.h"
#include "hv/probe.h"
#include "proto/containerd.pb-c.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPTIONS_MAX (1u << 20)

/* What containerd (2.2 and later) hands over as it is (its docs/mounts.md): images and writable file systems
   become disks of the machine, templates are filled in with the places where the guest has them. */
#define ALLOWED_MOUNTS "erofs,ext4,format/*,mkdir/*,mkfs/*"

/* https://github.com/opencontainers/runtime-spec/blob/main/features.md; what the guest's kernel and agent do.
 */
#define FEATURES_TYPE "types.containerd.io/opencontainers/runtime-spec/1/features/Features"
static const char features_json[] =
    "{\"ociVersionMin\":\"1.0.0\",\"ociVersionMax\":\"1.2.0\","
    "\"hooks\":[\"prestart\",\"createRuntime\",\"createContainer\",\"startContainer\",\"poststart\","
    "\"poststop\"],"
    "\"mountOptions\":["
    "\"async\",\"atime\",\"bind\",\"defaults\",\"dev\",\"diratime\",\"dirsync\",\"exec\","
    "\"iversion\",\"lazytime\",\"loud\",\"mand\",\"noatime\",\"nodev\",\"nodiratime\",\"noexec\","
    "\"noiversion\",\"nolazytime\",\"nomand\",\"norelatime\",\"nostrictatime\",\"nosuid\","
    "\"nosymfollow\",\"private\",\"rbind\",\"relatime\",\"remount\",\"ro\",\"rprivate\",\"rshared\","
    "\"rslave\",\"runbindable\",\"rw\",\"shared\",\"silent\",\"slave\",\"strictatime\",\"suid\","
    "\"sync\",\"symfollow\",\"tmpcopyup\",\"unbindable\",\"ratime\",\"rdev\",\"rdiratime\",\"rexec\","
    "\"rnoatime\",\"rnodev\",\"rnodiratime\",\"rnoexec\",\"rnorelatime\",\"rnostrictatime\","
    "\"rnosuid\",\"rnosymfollow\",\"rrelatime\",\"rro\",\"rrw\",\"rstrictatime\",\"rsuid\","
    "\"rsymfollow\""
    "],"
    "\"linux\":{\"namespaces\":[\"cgroup\",\"ipc\",\"mount\",\"network\",\"pid\",\"uts\"],"
    "\"cgroup\":{\"v1\":false,\"v2\":true,\"systemd\":false,\"systemdUser\":false,\"rdma\":false},"
    "\"seccomp\":{\"enabled\":true},\"apparmor\":{\"enabled\":false},\"selinux\":{\"enabled\":false},"
    "\"mountExtensions\":{\"idmap\":{\"enabled\":false}}}}";

/* "io.containerd.kata.v2" of ".../containerd-shim-kata-v2": the name that the program was called by. */
static char *runtime_name(const char *program)
{
    static const char prefix[] = "containerd-shim-";
    const char *slash = strrchr(program, '/');
    const char *base = slash ? slash + 1 : program;
    const char *last = strrchr(base, '-');
    if (strncmp(base, prefix, strlen(prefix)) != 0 || !last || last < base + strlen(prefix))
        return must_copy("io.containerd.caisson.v2");
    const char *name = base + strlen(prefix);
    return must_printf("io.containerd.%.*s.%s", (int)(last - name), name, last + 1);
}

static struct error *print_line(const char *line)
{
    if (printf("%s\n", line) < 0 || fflush(stdout) != 0)
        return error_errno(errno, "writing to standard output");
    return NULL;
}

/* "io.containerd.kata.v2 0.1.0 (Caisson, commit 0123456789ab)" */
struct error *shim_version(const char *program)
{
    _cleanup_free_ char *name = runtime_name(program);
    _cleanup_free_ char *line =
        must_printf("%s %s (Caisson, commit %s)", name, CAISSON_VERSION, CAISSON_COMMIT);
    return print_line(line);
}

/* What containerd gives to `-info`: an Any of runtime options, or nothing. */
static Google__Protobuf__Any *read_options(void)
{
    _cleanup_free_ char *bytes = NULL;
    size_t length = 0;
    struct stat status;
    if (fstat(STDIN_FILENO, &status) < 0 || (!S_ISFIFO(status.st_mode) && !S_ISREG(status.st_mode)))
        return NULL;
    _cleanup_error_ struct error *error = fd_read_all(STDIN_FILENO, OPTIONS_MAX, &bytes, &length);
    if (error || length == 0)
        return NULL;
    return google__protobuf__any__unpack(NULL, length, (const uint8_t *)bytes);
}

struct error *shim_info(const char *program)
{
    _cleanup_free_ char *name = runtime_name(program);
    Containerd__RuntimeVersion version = CONTAINERD__RUNTIME_VERSION__INIT;
    version.version = CAISSON_VERSION;
    version.revision = CAISSON_COMMIT;
    Google__Protobuf__Any features = GOOGLE__PROTOBUF__ANY__INIT;
    features.type_url = FEATURES_TYPE;
    features.value =
        (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)features_json, .len = strlen(features_json)};
    Containerd__AnnotationEntry mounts = CONTAINERD__ANNOTATION_ENTRY__INIT;
    mounts.key = "containerd.io/runtime-allow-mounts";
    mounts.value = ALLOWED_MOUNTS;
    Containerd__AnnotationEntry *annotations[] = {&mounts};
    Containerd__RuntimeInfo info = CONTAINERD__RUNTIME_INFO__INIT;
    info.name = name;
    info.version = &version;
    info.features = &features;
    info.options = read_options();
    info.annotations = annotations;
    info.n_annotations = ARRAY_SIZE(annotations);
    size_t length = 0;
    _cleanup_free_ uint8_t *bytes = ttrpc_pack(&info.base, &length);
    if (info.options)
        google__protobuf__any__free_unpacked(info.options, NULL);
    return fd_write_all(STDOUT_FILENO, bytes, length);
}

struct error *shim_check(void)
{
    _cleanup_free_ char *report = probe_report_json();
    return print_line(report);
}
