/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run_settings.h"

#include "client/terminal.h"

#define RUN(name, letter, kind, member, value, help) \
    OPTION(run_settings, name, letter, kind, member, value, help)
#define REFUSED(name, value, help)              \
    {                                           \
        name, 0, OPTION_REFUSED, 0, value, help \
    }

/* docker grants ten seconds, too. */
const struct run_settings run_defaults = {
    .stop_timeout = 10, .pull = "missing", .hypervisor = "auto", .detach_keys = DETACH_KEYS_DEFAULT};

const struct option run_options[] = {
    RUN("add-host", 0, OPTION_LIST, hosts, "NAME:IP", "one more line of /etc/hosts"),
    RUN("annotation", 0, OPTION_LIST, annotations, "KEY=VALUE", "annotation of the container"),
    RUN("cap-add", 0, OPTION_LIST, capabilities_added, "CAP", "add a capability, or ALL"),
    RUN("cap-drop", 0, OPTION_LIST, capabilities_dropped, "CAP", "drop a capability, or ALL"),
    RUN("cpu-shares", 'c', OPTION_NUMBER, cpu_shares, "N", "weight against others in the guest"),
    RUN("cpus", 0, OPTION_THOUSANDTHS, cpus, "N", "limit of processor time, as in 1.5"),
    RUN("detach", 'd', OPTION_FLAG, detach, NULL, "print the id and leave it running"),
    RUN("detach-keys", 0, OPTION_TEXT, detach_keys, "KEYS", "keys that detach (ctrl-p,ctrl-q)"),
    REFUSED("device", "PATH", "the host's devices are not in the virtual machine"),
    RUN("dns", 0, OPTION_LIST, dns, "IP", "name server"),
    RUN("entrypoint", 0, OPTION_TEXT, entrypoint, "COMMAND", "instead of the image's entry point"),
    RUN("env", 'e', OPTION_LIST, environment, "NAME[=VALUE]", "environment variable"),
    RUN("env-file", 0, OPTION_LIST, environment_files, "FILE", "file of environment variables"),
    REFUSED("gpus", "WHICH", "the host's devices are not in the virtual machine"),
    RUN("group-add", 0, OPTION_LIST, groups, "GID", "one more group of the process"),
    RUN("hostname", 'h', OPTION_TEXT, hostname, "NAME", "host name in the container"),
    RUN("hypervisor", 0, OPTION_TEXT, hypervisor, "NAME",
        "auto, caisson-vmm, qemu-kvm or qemu-tcg; caisson check"),
    RUN("init", 0, OPTION_FLAG, init, NULL, "a small init that reaps orphans runs the command"),
    RUN("interactive", 'i', OPTION_FLAG, interactive, NULL, "pass standard input on"),
    REFUSED("ipc", "MODE", "the container has an IPC namespace of its own"),
    RUN("label", 'l', OPTION_LIST, labels, "KEY=VALUE", "label of the container"),
    RUN("memory", 'm', OPTION_SIZE, memory, "SIZE", "memory limit, as in 256m"),
    RUN("mount", 0, OPTION_LIST, mounts, "SPEC", "type=bind|volume|tmpfs,source=,target=[,readonly]"),
    RUN("name", 0, OPTION_TEXT, name, "NAME", "name of the container"),
    RUN("network", 0, OPTION_TEXT, network, "none|user|ns:PATH",
        "none, outgoing connections, or a namespace"),
    RUN("net", 0, OPTION_TEXT, network, "none|user|ns:PATH", NULL),
    REFUSED("pid", "MODE", "the container has a kernel of its own, and so its own processes"),
    RUN("pids-limit", 0, OPTION_BOUND, pids, "N", "limit of processes; 0 or -1: none"),
    RUN("platform", 0, OPTION_TEXT, platform, "PLATFORM", "only this machine's: linux/amd64"),
    RUN("privileged", 0, OPTION_FLAG, privileged, NULL, "all rights inside the virtual machine"),
    RUN("publish", 'p', OPTION_LIST, ports, "[IP:]HOST:PORT[/udp]", "publish a port; implies --net user"),
    RUN("pull", 0, OPTION_TEXT, pull, "POLICY", "never, missing or always"),
    RUN("quiet", 'q', OPTION_FLAG, quiet, NULL, "no progress while an image is fetched"),
    RUN("read-only", 0, OPTION_FLAG, read_only, NULL, "the root file system cannot be written"),
    REFUSED("restart", "POLICY", "nobody would be there to start it again; let systemd run caisson"),
    RUN("rm", 0, OPTION_FLAG, remove, NULL, "remove the container when it ends"),
    RUN("scratch", 0, OPTION_SIZE, scratch, "SIZE", "writable layer on disk instead of in memory"),
    RUN("security-opt", 0, OPTION_LIST, security, "OPTION",
        "seccomp=FILE, seccomp=unconfined or no-new-privileges"),
    RUN("shm-size", 0, OPTION_SIZE, shared, "SIZE", "size of /dev/shm (64m)"),
    RUN("stop-signal", 0, OPTION_TEXT, stop_signal, "SIGNAL", "what caisson stop sends"),
    RUN("stop-timeout", 0, OPTION_NUMBER, stop_timeout, "SECONDS", "how long caisson stop waits (10)"),
    RUN("sysctl", 0, OPTION_LIST, sysctls, "NAME=VALUE", "kernel setting in the container"),
    RUN("timings", 0, OPTION_FLAG, timings, NULL, "print when each phase of the run was reached"),
    RUN("tmpfs", 0, OPTION_LIST, temporary, "PATH[:OPTIONS]", "file system in memory"),
    RUN("tty", 't', OPTION_FLAG, terminal, NULL, "give the process a terminal"),
    RUN("ulimit", 0, OPTION_LIST, limits, "NAME=SOFT[:HARD]", "resource limit, as in nofile=1024"),
    RUN("user", 'u', OPTION_TEXT, user, "USER[:GROUP]", "user of the process, by name or number"),
    REFUSED("userns", "MODE", "the container has a kernel of its own, and so its own users"),
    RUN("vcpus", 0, OPTION_NUMBER, vcpus, "N", "processors of the virtual machine"),
    RUN("volume", 'v', OPTION_LIST, volumes, "SOURCE:PATH[:ro]", "directory, file or named volume"),
    RUN("workdir", 'w', OPTION_TEXT, working_directory, "PATH", "working directory of the process"),
    OPTIONS_END,
};
