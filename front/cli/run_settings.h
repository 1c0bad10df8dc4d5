/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the options of `caisson run` fill in. Strings are in the command line; lists are the settings'.
 */
#pragma once

#include "cli/options.h"

struct run_settings {
    bool interactive;
    bool terminal;
    bool detach;
    bool remove;
    bool read_only;
    bool init;
    bool privileged;
    bool timings;
    bool quiet;
    const char *name;
    const char *user;
    const char *working_directory;
    const char *hostname;
    const char *entrypoint;
    const char *network;
    const char *pull;
    const char *platform;
    const char *stop_signal;
    const char *hypervisor;
    const char *detach_keys;
    char **environment;
    char **environment_files;
    char **volumes;
    char **mounts;
    char **temporary; /* --tmpfs */
    char **ports;
    char **capabilities_added;
    char **capabilities_dropped;
    char **security;
    char **limits;
    char **sysctls;
    char **hosts;
    char **dns;
    char **annotations;
    char **labels;
    char **groups;
    uint64_t memory;      /* bytes; 0: no limit */
    uint64_t scratch;     /* bytes; 0: in memory */
    uint64_t shared;      /* bytes of /dev/shm; 0: the default */
    uint64_t cpus;        /* thousandths; 0: no limit */
    int64_t pids;         /* 0: no limit */
    int64_t vcpus;        /* 0: by the cpus */
    int64_t cpu_shares;   /* 0: the default */
    int64_t stop_timeout; /* seconds */
};

extern const struct option run_options[];
extern const struct run_settings run_defaults;
