/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What the BPF programs tell the recorder. Plain C, shared by both sides. */
#ifndef FUSESIM_RECORD_EVENTS_H
#define FUSESIM_RECORD_EVENTS_H

#include <linux/types.h>

enum event_kind {
    EVENT_SEND = 1,  /* fuse_request_send: put on the pending queue */
    EVENT_TAKEN = 2, /* the daemon's read returned, if EVENT_END does not tell that */
    EVENT_END = 3,   /* fuse_request_end, in the daemon's write; as a rule with what was taken */
    EVENT_RESUMED =
        4,         /* the waiting caller runs again, if its next EVENT_SEND does not tell that */
    EVENT_CALL = 5 /* an application's system call on the mount has returned */
};

enum {
    MESSAGE_SHORT = 128, /* header and arguments of every request without names */
    MESSAGE_LONG = 640,  /* two names of 255 bytes and their arguments */
    PATH_DEPTH = 16,     /* components of a path kept by the syscall layer */
    PATH_NAME = 128,     /* bytes kept of each component */
    PATH_STRING = 256    /* bytes kept of a path argument */
};

#define UNKNOWN_DEMAND ((__u64)1 << 63)

struct event {
    __u32 kind;
    __u32 cpu;
    __u64 time;    /* CLOCK_MONOTONIC, ns; of EVENT_END: of fuse_request_end */
    __u64 request; /* address of the kernel's request: joins what has no unique yet */
    __u64 unique;
    __u32 tid;
    __u32 tgid;
};

struct send_event {
    struct event e;
    __u64 nodeid;
    __u64 think_cpu;
    __u64 think_blocked;
    /* The caller's previous request, if its resumption was not told yet; time 0 if it was. */
    __u64 resumed_time;
    __u64 resumed_request;
    __u64 resumed_unique;
    __u32 opcode;
    __u32 len;
    __u32 pid;
    __u8 background;
    __u8 expects_reply;
    __u8 from_daemon; /* promoted from the background queue inside a reply */
    __u8 pad;
};

/* What one read of the daemon returned. */
struct taken {
    __u64 time;
    __u32 len;         /* of the whole message */
    __u32 message_len; /* bytes kept; they follow the event */
    __u32 tid;
    __u32 cpu;
};

struct taken_event {
    struct event e;
    struct taken taken;
};

struct end_event {
    struct event e;
    __u64 replied; /* 0: not inside a write of the daemon */
    __u64 service_cpu;
    __u64 service_blocked;
    __s32 error;
    __u32 len;
    struct taken taken; /* time 0: another thread took it, or EVENT_TAKEN has told */
};

struct resumed_event {
    struct event e;
};

/* Where a system call has its arguments; -1: it has no such one. */
struct call_shape {
    __u8 traced;
    __s8 fd;
    __s8 path;
    __s8 directory; /* descriptor that path is relative to */
    __s8 path2;
    __s8 directory2;
    __s8 offset;
    __s8 size;
    __s8 flags;
    __u8 opens; /* returns a descriptor, which tells whether it is on the mount */
    __u8 at_position;
    __u8 vector; /* size counts iovecs */
};

enum { MAX_CALLS = 512, ON_MOUNT_BY_FD = 1, ON_MOUNT_BY_PATH = 2, PERHAPS_ON_MOUNT = 4 };

struct call_event {
    struct event e; /* time: of the return; request, unique: not used */
    __u64 entered;
    __u64 think_cpu;
    __u64 think_blocked;
    __u64 inode;
    __s64 fd;
    __u64 offset;
    __u64 size;
    __s64 result;
    __u32 number; /* of the system call */
    __u32 flags;
    __u32 found;     /* how it was found to be on the mount */
    __u32 has_paths; /* struct call_paths follows */
};

/* A path is given as the caller gave it, and the directory it starts from, the last name first. */
struct call_paths {
    char path[2][PATH_STRING];
    __u8 depth[2];
    __u8 inside[2]; /* of these, names in the directory's own file system */
    __u8 cut;       /* a component or the number of them exceeded what is kept */
    __u8 own;       /* names[0] is the opened file's own path, not where path[0] starts */
    __u8 pad[2];
    char names[2][PATH_DEPTH][PATH_NAME];
};

/* Filled once by the first request seen. */
struct connection_facts {
    __u32 seen;
    __u32 minor;
    __u32 max_read;
    __u32 max_write;
    __u32 max_pages;
    __u32 max_background;
    __u32 congestion_threshold;
    __u32 writeback_cache;
    __u32 async_read;
    __u32 async_dio;
    __u32 parallel_dirops;
    __u32 no_interrupt;
    __u32 readdirplus;
    __u32 readdirplus_auto;
    __u32 default_permissions;
    __u32 io_uring;
    __u32 passthrough;
};

/* Counted as the recording goes on. */
struct recorder_counts {
    __u64 lost[8];         /* by event_kind */
    __u64 most_background; /* highest num_background seen when a request was sent */
    __u64 read_size;       /* largest buffer a daemon's read offered */
    __u64 splice_reads;
    __u64 splice_replies;
    __u64 uring_requests;
    __u64 unreadable; /* messages the daemon's memory did not give */
};

enum { MAX_DAEMONS = 8 };

#endif
