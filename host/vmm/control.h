/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel between the monitor and whoever owns its machine: a connected SOCK_SEQPACKET pair, one message
 * a packet. The owner's driver sends requests, each of which the monitor answers once, in order and with the
 * request's sequence number; the monitor adds the event STOPPED when the machine ends by itself. Either end
 * closing the channel ends the machine.
 *
 *     MACHINE                          first, once
 *     DISK NIC SHARE LINK CONSOLE      before START; the guest has devices in the order of these requests
 *     START PAUSE RESUME COUNT_EXITS   START once
 *     STOP                             at any time
 *
 * What a message is made of is decided in one table here and checked in one place, by the receiver, before
 * anybody sees it: neither end trusts the other's. Both programs are of one build and one machine: native
 * byte order, and another version is refused.
 */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define CONTROL_MAGIC 0x4d4d5643u /* "CVMM" */
#define CONTROL_VERSION 1u
/* Bounds of what a message can carry; a command line of Linux on x86-64 has at most 2,047 characters. */
#define CONTROL_TEXT_MAX 2047u
#define CONTROL_FDS_MAX 2u
#define CONTROL_MESSAGE_MAX (sizeof(struct control_header) + 32u + CONTROL_TEXT_MAX)

#define CONTROL_MEMORY_LEAST (UINT64_C(32) << 20)
#define CONTROL_MEMORY_MOST (UINT64_C(1) << 40)
#define CONTROL_PROCESSORS_MOST 32u
#define CONTROL_TAG_SIZE 36u /* struct virtio_fs_config.tag */

/* What the monitor finds open when it starts: its end of the channel, and /dev/kvm. */
#define CONTROL_FD 3
#define CONTROL_KVM_FD 4

struct control_header {
    uint32_t magic;
    uint16_t version;
    uint16_t type;     /* enum control_type */
    uint32_t sequence; /* an answer has its request's; 0 in events */
    uint32_t length;   /* of what follows */
};

/* In parentheses: the descriptors that come along, and what the text is. */
enum control_type {
    /* An orderly end of the channel, in place of a message; never on the wire. */
    CONTROL_CLOSED = 0,
    /* Requests. */
    CONTROL_MACHINE = 1, /* (kernel, initrd; the kernel's command line) */
    CONTROL_DISK,        /* (the image) */
    CONTROL_NIC,         /* (the tap) */
    CONTROL_SHARE,       /* (a socket connected to the vhost-user file server) */
    CONTROL_LINK,        /* (a stream socket: the guest's port "caisson.link.0") */
    CONTROL_CONSOLE,     /* (takes the bytes of the serial port) */
    CONTROL_START,
    CONTROL_PAUSE,
    CONTROL_RESUME,
    CONTROL_STOP,
    CONTROL_COUNT_EXITS, /* the answer's text: "KIND COUNT\n" for each kind of exit */
    /* What the monitor says. */
    CONTROL_ANSWER = 64, /* (nothing; a sentence where the code is not 0) */
    CONTROL_STOPPED,     /* (nothing; why, empty where the guest reset or powered off) */
};

#define CONTROL_SHARED 1u /* machine: other processes take part in devices, so its memory is a file */

struct control_machine {
    uint64_t memory; /* bytes, whole MiB */
    uint32_t processors;
    uint32_t flags;
};

#define CONTROL_READ_ONLY 1u /* disk */
#define CONTROL_DURABLE 2u   /* disk: it outlives the machine, flushes reach the host's disk */

struct control_disk {
    uint32_t flags;
};

struct control_nic {
    uint8_t mac[6];
};

struct control_share {
    char tag[CONTROL_TAG_SIZE]; /* NUL-padded; not terminated where it is that long */
};

struct control_answer {
    uint32_t code; /* enum error_code */
};

/* A decoded message, or one to send: the fields that its type has. */
struct control_message {
    enum control_type type;
    uint32_t sequence;
    union {
        struct control_machine machine;
        struct control_disk disk;
        struct control_nic nic;
        struct control_share share;
        struct control_answer answer;
    };
    int fds[CONTROL_FDS_MAX]; /* in the order above */
    size_t fd_count;
    char text[CONTROL_TEXT_MAX + 1];
};

enum control_end { CONTROL_MONITOR, CONTROL_OWNER };

/* Reads one message, for the end that `receiver` names. Its descriptors are the caller's
   (control_message_clear closes those that nobody took out), close-on-exec. A message that breaks the rules
   is INVALID_ARGUMENT: the other end is not what it should be. A nonblocking socket with nothing to read:
   error_number is EAGAIN. */
struct error *control_receive(int socket, enum control_end receiver, struct control_message *ret_message);
/* Sends it; descriptors are borrowed. Blocks, or fails with EAGAIN, where the other end does not read. */
struct error *control_send(int socket, const struct control_message *message);
/* The error that an answer carries; NULL: it is a success. Owned by the caller. */
struct error *control_answer_error(const struct control_message *answer);
/* The other way: what to send for a request's error, which may be NULL and is borrowed. */
void control_answer_set(struct control_message *ret_answer, uint32_t sequence, const struct error *error);
/* Closes the descriptors that are left and forgets the rest. */
void control_message_clear(struct control_message *message);

/* The decoder itself, of bytes that were received with that many descriptors. */
struct error *control_decode(const void *bytes, size_t length, size_t fd_count, enum control_end receiver,
    struct control_message *ret_message);
