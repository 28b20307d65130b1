// SPDX-License-Identifier: GPL-2.0
/*
 * Watches one FUSE connection from outside: requests on their way into the pending queue, the
 * daemon's reads and replies, and the scheduler for the threads that take part.
 */
#include "events.h"
#include "kernel_types.h"
#include "task_clock.bpf.h"

#include <asm/unistd.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <linux/bpf.h>

char LICENSE[] SEC("license") = "GPL";

/* Set before loading. */
const volatile __u32 connection = 0; /* the kernel's dev_t of the mount */
const volatile __u32 own_tgid = 0;

/* Processes that serve the connection; the recorder names those it finds, replies add others. */
__u32 daemons[MAX_DAEMONS] = {};
struct connection_facts facts = {};
struct recorder_counts counts = {};
/* Sends are left out until the other programs are attached, and again when the end is near. */
__u32 accept_new = 0;

/* What is known of a thread that called into the mount or serves it. */
struct task_info {
    struct task_clock clock;               /* its sleep for a reply of the mount is not counted */
    __u64 waits_for;                       /* request that it sent and waits for */
    __u64 resumes_request, resumes_unique; /* ended, and it has not run since */
    __u64 resumed_request, resumed_unique, resumed_time; /* it runs, and that is not told yet */
    /* as a worker */
    __u64 taken_unique, taken_cpu, taken_blocked;
    struct taken taken; /* time 0: told */
    __u64 reply_time, reply_cpu, reply_blocked;
    __u64 ended_request, ended_unique;
    __u64 splice_time, splice_cpu, splice_blocked;
    __u32 splice_len, splice_at_cpu;
    __s32 fuse_fd; /* last descriptor found to be of this connection, plus 1 */
    __u8 in_reply;
    __u8 eager; /* others reply to what it takes: tell at once */
    __u8 message[MESSAGE_SHORT];
};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct task_info);
} tasks SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 8 << 20);
} events SEC(".maps");

static __always_inline struct task_info* info_of(struct task_struct* task) {
    return bpf_task_storage_get(&tasks, task, 0, 0);
}

static __always_inline struct task_info* make_info(struct task_struct* task, __u64 now) {
    struct task_info* info = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (info) {
        clock_start(&info->clock, now);
    }
    return info;
}

static __always_inline void lose(__u32 kind) {
    __sync_fetch_and_add(&counts.lost[kind & 7], 1);
}

/* The recorder polls; waking it for each event would cost more than the event. */
static __always_inline void submit(void* event) {
    bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

static __always_inline void fill(
    struct event* event, __u32 kind, __u64 now, __u64 request, __u64 unique, __u64 pid_tgid) {
    event->kind = kind;
    event->cpu = bpf_get_smp_processor_id();
    event->time = now;
    event->request = request;
    event->unique = unique;
    event->tid = (__u32)pid_tgid;
    event->tgid = pid_tgid >> 32;
}

static __always_inline int is_daemon(__u32 tgid) {
#pragma unroll
    for (int i = 0; i < MAX_DAEMONS; ++i) {
        if (daemons[i] == tgid) {
            return 1;
        }
        if (daemons[i] == 0) {
            return 0;
        }
    }
    return 0;
}

static __always_inline void learn_daemon(__u32 tgid) {
#pragma unroll
    for (int i = 0; i < MAX_DAEMONS; ++i) {
        if (daemons[i] == tgid) {
            return;
        }
        if (daemons[i] == 0) {
            daemons[i] = tgid;
            return;
        }
    }
}

static __always_inline void learn_connection(const struct fuse_conn* fc) {
    facts.minor = fc->minor;
    facts.max_read = fc->max_read;
    facts.max_write = fc->max_write;
    facts.max_pages = bpf_core_field_exists(fc->max_pages) ? fc->max_pages : 32;
    facts.max_background = fc->max_background;
    facts.congestion_threshold = fc->congestion_threshold;
    facts.async_read = BPF_CORE_READ_BITFIELD_PROBED(fc, async_read);
    facts.writeback_cache = BPF_CORE_READ_BITFIELD_PROBED(fc, writeback_cache);
    facts.parallel_dirops = BPF_CORE_READ_BITFIELD_PROBED(fc, parallel_dirops);
    facts.no_interrupt = BPF_CORE_READ_BITFIELD_PROBED(fc, no_interrupt);
    facts.readdirplus = BPF_CORE_READ_BITFIELD_PROBED(fc, do_readdirplus);
    facts.readdirplus_auto = BPF_CORE_READ_BITFIELD_PROBED(fc, readdirplus_auto);
    facts.async_dio = BPF_CORE_READ_BITFIELD_PROBED(fc, async_dio);
    facts.default_permissions = BPF_CORE_READ_BITFIELD_PROBED(fc, default_permissions);
    if (bpf_core_field_exists(fc->passthrough)) {
        facts.passthrough = BPF_CORE_READ_BITFIELD_PROBED(fc, passthrough);
    }
    if (bpf_core_field_exists(fc->io_uring)) {
        facts.io_uring = fc->io_uring != 0;
    }
    facts.seen = 1;
}

/* As the kernel is about to set it in the header. */
static __always_inline __u32 length_of(const struct fuse_args* args) {
    const __u32 count = args->in_numargs;
    __u32 length = sizeof(struct fuse_in_header);
    length += count > 0 ? BPF_CORE_READ(args, in_args[0].size) : 0;
    length += count > 1 ? BPF_CORE_READ(args, in_args[1].size) : 0;
    length += count > 2 ? BPF_CORE_READ(args, in_args[2].size) : 0;
    return length;
}

static __always_inline int sent(const struct fuse_req* req, __u32 length) {
    const struct fuse_conn* fc = req->fm->fc;
    if (fc->dev != connection || !accept_new) {
        return 0;
    }
    const __u64 now = bpf_ktime_get_ns();
    const __u64 pid_tgid = bpf_get_current_pid_tgid();
    const __u32 tgid = pid_tgid >> 32;
    if (tgid == own_tgid) {
        return 0;
    }
    if (!facts.seen) {
        learn_connection(fc);
    }
    if (fc->num_background > counts.most_background) {
        counts.most_background = fc->num_background;
    }
    const unsigned long flags = req->flags;
    const int background = (flags >> bpf_core_enum_value(enum fuse_req_flag, FR_BACKGROUND)) & 1;
    const int expects_reply = (flags >> bpf_core_enum_value(enum fuse_req_flag, FR_ISREPLY)) & 1;
    if (bpf_core_enum_value_exists(enum fuse_req_flag, FR_URING) &&
        ((flags >> bpf_core_enum_value(enum fuse_req_flag, FR_URING)) & 1)) {
        __sync_fetch_and_add(&counts.uring_requests, 1);
    }
    struct task_info* me = make_info(bpf_get_current_task_btf(), now);
    const int from_daemon = me && me->in_reply && me->ended_request;
    struct send_event* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
    if (!event) {
        lose(EVENT_SEND);
    } else {
        fill(&event->e, EVENT_SEND, now, (__u64)req, req->in.h.unique, pid_tgid);
        event->nodeid = req->in.h.nodeid;
        event->opcode = req->in.h.opcode;
        event->len = length;
        event->pid = req->in.h.pid;
        event->background = background;
        event->expects_reply = expects_reply;
        event->from_daemon = from_daemon;
        event->pad = 0;
        event->resumed_time = 0;
        event->resumed_request = 0;
        event->resumed_unique = 0;
        if (me && me->resumed_time) {
            event->resumed_time = me->resumed_time;
            event->resumed_request = me->resumed_request;
            event->resumed_unique = me->resumed_unique;
            me->resumed_time = 0;
        }
        event->think_cpu = UNKNOWN_DEMAND;
        event->think_blocked = UNKNOWN_DEMAND;
        if (me && me->clock.has_base && !from_daemon) {
            event->think_cpu = cpu_until(&me->clock, now) - me->clock.base_cpu;
            event->think_blocked = me->clock.blocked - me->clock.base_blocked;
        }
        submit(event);
    }
    if (me && !from_daemon) {
        clock_set_base(&me->clock, now);
        if (!background && expects_reply) {
            me->waits_for = (__u64)req;
        }
    }
    return 0;
}

SEC("tp_btf/fuse_request_send")

int BPF_PROG(request_send, const struct fuse_req* req) {
    return sent(req, req->in.h.len);
}

/* The same on kernels without that tracepoint. */
SEC("fentry/queue_request_and_unlock")

int BPF_PROG(request_queued, const void* input_queue, const struct fuse_req* req) {
    return sent(req, length_of(req->args));
}

static __always_inline void fill_end(struct end_event* event,
                                     const struct fuse_req* req,
                                     const struct task_info* me,
                                     __u64 now,
                                     __u64 pid_tgid) {
    const __u64 unique = req->in.h.unique;
    fill(&event->e, EVENT_END, now, (__u64)req, unique, pid_tgid);
    event->error = req->out.h.error;
    event->len = req->out.h.len;
    event->replied = 0;
    event->service_cpu = UNKNOWN_DEMAND;
    event->service_blocked = UNKNOWN_DEMAND;
    if (me && me->in_reply) {
        event->replied = me->reply_time;
        if (me->taken_unique == unique) {
            event->service_cpu = me->reply_cpu - me->taken_cpu;
            event->service_blocked = me->reply_blocked - me->taken_blocked;
        }
    }
}

static __always_inline int ended(const struct fuse_req* req) {
    if (req->fm->fc->dev != connection) {
        return 0;
    }
    const __u64 now = bpf_ktime_get_ns();
    const __u64 pid_tgid = bpf_get_current_pid_tgid();
    const __u32 tgid = pid_tgid >> 32;
    const __u64 unique = req->in.h.unique;
    struct task_info* me = make_info(bpf_get_current_task_btf(), now);
    if (req->out.h.len && me && !is_daemon(tgid)) {
        learn_daemon(tgid);
    }
    if (me && me->taken_unique == unique && me->taken.time) {
        struct {
            struct end_event end;
            __u8 message[MESSAGE_SHORT];
        }* both = bpf_ringbuf_reserve(&events, sizeof(*both), 0);

        if (both) {
            fill_end(&both->end, req, me, now, pid_tgid);
            both->end.taken = me->taken;
            __builtin_memcpy(both->message, me->message, MESSAGE_SHORT);
            submit(both);
        } else {
            lose(EVENT_END);
        }
        me->taken.time = 0;
    } else {
        struct end_event* alone = bpf_ringbuf_reserve(&events, sizeof(*alone), 0);
        if (alone) {
            fill_end(alone, req, me, now, pid_tgid);
            __builtin_memset(&alone->taken, 0, sizeof(alone->taken));
            submit(alone);
        } else {
            lose(EVENT_END);
        }
    }
    if (me) {
        me->ended_request = (__u64)req;
        me->ended_unique = unique;
    }
    return 0;
}

SEC("tp_btf/fuse_request_end")

int BPF_PROG(request_end, const struct fuse_req* req) {
    return ended(req);
}

SEC("fentry/fuse_request_end")

int BPF_PROG(request_ends, const struct fuse_req* req) {
    return ended(req);
}

/* Told by its next request, or when it leaves the core before it makes one. */
static __always_inline void resume(struct task_info* task, __u64 now) {
    task->resumed_request = task->resumes_request;
    task->resumed_unique = task->resumes_unique;
    task->resumed_time = now;
    task->resumes_request = 0;
    clock_set_base(&task->clock, now);
}

static __always_inline void tell_resumed(struct task_info* task, __u32 tid, __u32 tgid) {
    struct resumed_event* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
    if (!event) {
        lose(EVENT_RESUMED);
    } else {
        fill(&event->e,
             EVENT_RESUMED,
             task->resumed_time,
             task->resumed_request,
             task->resumed_unique,
             (__u64)tgid << 32 | tid);
        submit(event);
    }
    task->resumed_time = 0;
}

SEC("tp_btf/sched_waking")

int BPF_PROG(waking, struct task_struct* task) {
    struct task_info* wakee = info_of(task);
    if (!wakee) {
        return 0;
    }
    struct task_info* me = info_of(bpf_get_current_task_btf());
    const int by_reply = me && me->in_reply && me->ended_request;
    const __u64 now = bpf_ktime_get_ns();
    const int asleep = clock_wakes(&wakee->clock, !by_reply, now);
    if (!by_reply) {
        return 0;
    }
    if (wakee->waits_for == me->ended_request) {
        wakee->waits_for = 0;
        wakee->resumes_request = me->ended_request;
        wakee->resumes_unique = me->ended_unique;
        if (wakee->clock.state == TASK_ON_CPU) { /* woken on its way into sleep */
            resume(wakee, now);
        }
    } else if (asleep && !wakee->waits_for) { /* for a page that a background READ has filled */
        wakee->resumes_request = me->ended_request;
        wakee->resumes_unique = me->ended_unique;
    }
    return 0;
}

SEC("tp_btf/sched_switch")

int BPF_PROG(sched_switch,
             _Bool preempt,
             struct task_struct* prev,
             struct task_struct* next,
             unsigned int prev_state) {
    struct task_info* out = info_of(prev);
    __u64 now = 0;
    if (out) {
        now = bpf_ktime_get_ns();
        clock_leaves_cpu(&out->clock, !preempt && prev_state, now);
        if (out->resumed_time) {
            tell_resumed(out, prev->pid, prev->tgid);
        }
    }
    struct task_info* in = info_of(next);
    if (in) {
        if (!now) {
            now = bpf_ktime_get_ns();
        }
        clock_gets_cpu(&in->clock, now);
        if (in->resumes_request) {
            resume(in, now);
        }
    }
    return 0;
}

/* Is this descriptor a channel of the connection (and not a pipe or some other file)? */
static __always_inline int is_channel(struct task_struct* task, __u32 fd) {
    struct fdtable* table = task->files->fdt;
    if (fd >= table->max_fds) {
        return 0;
    }
    struct file** files = table->fd;
    struct file* file = 0;
    bpf_probe_read_kernel(&file, sizeof(file), files + fd);
    if (!file) {
        return 0;
    }
    /* Other files have other private data; the connection's number is then not found in it. */
    struct fuse_dev* device = BPF_CORE_READ(file, private_data);
    return device && BPF_CORE_READ(device, fc, dev) == connection;
}

static __always_inline int has_names(__u32 opcode) {
    switch (opcode) {
        case 1:
        case 6:
        case 8:
        case 9:
        case 10:
        case 11:
        case 12:
        case 13:
        case 21:
        case 22:
        case 24:
        case 35:
        case 45:
        case 51:
            return 1;
        default:
            return 0;
    }
}

static __always_inline int expects_no_reply(__u32 opcode) {
    return opcode == 2 || opcode == 36 || opcode == 41 || opcode == 42;
}

/* Tells what this thread took and nobody told yet. */
static __always_inline void tell_taken(struct task_info* me, __u64 pid_tgid) {
    struct {
        struct taken_event taken;
        __u8 message[MESSAGE_SHORT];
    }* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

    if (!event) {
        lose(EVENT_TAKEN);
    } else {
        fill(&event->taken.e, EVENT_TAKEN, me->taken.time, 0, me->taken_unique, pid_tgid);
        event->taken.taken = me->taken;
        __builtin_memcpy(event->message, me->message, MESSAGE_SHORT);
        submit(event);
    }
    me->taken.time = 0;
}

/* The same for a message with long names, straight from the daemon's buffer. */
static __always_inline void tell_long(struct task_info* me,
                                      const void* buffer,
                                      long ret,
                                      __u64 pid_tgid) {
    struct {
        struct taken_event taken;
        __u8 message[MESSAGE_LONG];
    }* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

    if (!event) {
        lose(EVENT_TAKEN);
    } else {
        const __u32 size = ret > MESSAGE_LONG ? MESSAGE_LONG : (__u32)ret;
        fill(&event->taken.e, EVENT_TAKEN, me->taken.time, 0, me->taken_unique, pid_tgid);
        event->taken.taken = me->taken;
        event->taken.taken.message_len = size;
        if (size <= MESSAGE_LONG) {
            bpf_probe_read_user(event->message, size, buffer);
        }
        submit(event);
    }
    me->taken.time = 0;
}

static __always_inline void message_read(struct pt_regs* regs, long id, long ret, __u64 now) {
    struct task_struct* task = bpf_get_current_task_btf();
    const __s32 fd = (__s32)regs->di;
    struct task_info* me = make_info(task, now);
    if (!me) {
        return;
    }
    const int known = me->fuse_fd == fd + 1;
    if (!known && !me->splice_len && !is_channel(task, fd)) {
        return;
    }
    const __u64 pid_tgid = bpf_get_current_pid_tgid();
    const void* buffer = (const void*)regs->si;
    __u64 room = regs->dx;
    if (id == __NR_readv) {
        struct {
            const void* base;
            __u64 len;
        } vector;

        if (bpf_probe_read_user(&vector, sizeof(vector), buffer)) {
            return;
        }
        buffer = vector.base;
        room = vector.len;
    }
    if (me->taken.time) { /* taken before, and not answered by this thread */
        tell_taken(me, pid_tgid);
        me->eager = 1;
    }
    /* The buffer of a channel is 8 KiB or more: reading past a short message does no harm. */
    __u32 kept = MESSAGE_SHORT;
    if (bpf_probe_read_user(me->message, MESSAGE_SHORT, buffer)) {
        kept = 40;
        if (bpf_probe_read_user(me->message, 40, buffer)) {
            __sync_fetch_and_add(&counts.unreadable, 1);
            return;
        }
    }
    const __u32 len = ((const __u32*)me->message)[0];
    const __u32 opcode = ((const __u32*)me->message)[1];
    if (me->splice_len) {
        if (len != me->splice_len) { /* some other pipe or file */
            return;
        }
        me->taken.time = me->splice_time;
        me->taken.cpu = me->splice_at_cpu;
        me->taken_cpu = me->splice_cpu;
        me->taken_blocked = me->splice_blocked;
        me->splice_len = 0;
    } else {
        if (len != ret) {
            return;
        }
        me->fuse_fd = fd + 1;
        if (room > counts.read_size) {
            counts.read_size = room;
        }
        me->taken.time = now;
        me->taken.cpu = bpf_get_smp_processor_id();
        me->taken_cpu = cpu_until(&me->clock, now);
        me->taken_blocked = me->clock.blocked;
    }
    me->taken_unique = *(const __u64*)(me->message + 8);
    me->taken.len = len;
    me->taken.message_len = ret < kept ? (__u32)ret : kept;
    me->taken.tid = (__u32)pid_tgid;
    if (ret > MESSAGE_SHORT && has_names(opcode)) {
        tell_long(me, buffer, ret, pid_tgid);
    } else if (me->eager || expects_no_reply(opcode)) {
        tell_taken(me, pid_tgid);
    }
}

/* The message lies in a pipe now; its header shows when the daemon reads the pipe. */
static __always_inline void message_spliced(struct pt_regs* regs, long ret, __u64 now) {
    struct task_struct* task = bpf_get_current_task_btf();
    const __s32 fd = (__s32)regs->di;
    struct task_info* me = make_info(task, now);
    if (!me) {
        return;
    }
    if (me->fuse_fd != fd + 1) {
        if (!is_channel(task, fd)) {
            return;
        }
        me->fuse_fd = fd + 1;
    }
    if (regs->r8 > counts.read_size) {
        counts.read_size = regs->r8;
    }
    __sync_fetch_and_add(&counts.splice_reads, 1);
    me->splice_len = ret;
    me->splice_time = now;
    me->splice_at_cpu = bpf_get_smp_processor_id();
    me->splice_cpu = cpu_until(&me->clock, now);
    me->splice_blocked = me->clock.blocked;
}

SEC("tp_btf/sys_enter")

int BPF_PROG(sys_enter, struct pt_regs* regs, long id) {
    if (id != __NR_writev && id != __NR_write && id != __NR_splice) {
        return 0;
    }
    struct task_struct* task = bpf_get_current_task_btf();
    if (!is_daemon(task->tgid)) {
        return 0;
    }
    const __u64 now = bpf_ktime_get_ns();
    struct task_info* me = make_info(task, now);
    if (me) {
        me->reply_time = now;
        me->reply_cpu = cpu_until(&me->clock, now);
        me->reply_blocked = me->clock.blocked;
        me->ended_request = 0;
        me->in_reply = 1;
    }
    return 0;
}

SEC("tp_btf/sys_exit")

int BPF_PROG(sys_exit, struct pt_regs* regs, long ret) {
    const long id = regs->orig_ax;
    const int reads = id == __NR_read || id == __NR_readv;
    if (!reads && id != __NR_writev && id != __NR_write && id != __NR_splice) {
        return 0;
    }
    struct task_struct* task = bpf_get_current_task_btf();
    if (!is_daemon(task->tgid)) {
        return 0;
    }
    if (reads) {
        if (ret >= 40) {
            message_read(regs, id, ret, bpf_ktime_get_ns());
        }
        return 0;
    }
    struct task_info* me = info_of(task);
    if (me) {
        if (id == __NR_splice && me->ended_request) {
            __sync_fetch_and_add(&counts.splice_replies, 1);
        }
        me->in_reply = 0;
        me->ended_request = 0;
    }
    if (id == __NR_splice && ret >= 40) {
        message_spliced(regs, ret, bpf_ktime_get_ns());
    }
    return 0;
}
