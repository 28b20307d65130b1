// SPDX-License-Identifier: GPL-2.0
/*
 * Watches the system calls that applications make on one mount. What belongs to the mount is told
 * by the file behind a descriptor, by the caller's directory, or by the mount point in the path.
 */
#include "events.h"
#include "kernel_types.h"
#include "task_clock.bpf.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <linux/bpf.h>

char LICENSE[] SEC("license") = "GPL";

/* Set before loading. */
const volatile __u32 connection = 0; /* the kernel's dev_t of the mount */
const volatile __u32 own_tgid = 0;
const volatile struct call_shape shapes[MAX_CALLS] = {};
const volatile char mount_point[PATH_STRING] = {};
const volatile char mount_name[PATH_NAME] = {}; /* its last component */
const volatile __u32 mount_name_len = 0;

struct recorder_counts counts = {};
__u32 accept_new = 0;

enum { AT_CWD = -100 };

struct task_info {
    struct task_clock clock;
    __u64 entered;
    __u64 think_cpu, think_blocked;
    __u64 inode, offset, size;
    __s64 fd;
    __u32 number; /* plus 1; 0: in no call of interest */
    __u32 flags;
    __u32 found;
    __s32 directory[2];
    char path[2][PATH_STRING];
};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct task_info);
} tasks SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 16 << 20);
} events SEC(".maps");

static __always_inline struct task_info* info_of(struct task_struct* task) {
    return bpf_task_storage_get(&tasks, task, 0, 0);
}

static __always_inline __u64 argument(struct pt_regs* regs, __s8 index) {
    switch (index) {
        case 0:
            return regs->di;
        case 1:
            return regs->si;
        case 2:
            return regs->dx;
        case 3:
            return regs->r10;
        case 4:
            return regs->r8;
        case 5:
            return regs->r9;
        default:
            return 0;
    }
}

static __always_inline struct file* file_of(struct task_struct* task, __s64 fd) {
    struct fdtable* table = task->files->fdt;
    if (fd < 0 || fd >= table->max_fds) {
        return 0;
    }
    struct file** files = table->fd;
    struct file* file = 0;
    bpf_probe_read_kernel(&file, sizeof(file), files + fd);
    return file;
}

static __always_inline int is_on_mount(struct file* file) {
    return file && BPF_CORE_READ(file, f_inode, i_sb, s_dev) == connection;
}

struct path_text {
    char text[PATH_STRING];
};

/* Does a component of the path bear the mount point's name? A global function, so that the
 * verifier looks at it once. */
__noinline int names_mount(const struct path_text* path) {
    const __u32 len = mount_name_len;
    if (!path || len == 0 || len >= PATH_NAME) {
        return 0;
    }
    char before = '/';
    for (__u32 i = 0; i < PATH_STRING - PATH_NAME; ++i) {
        const char here = path->text[i];
        if (!here) {
            return 0;
        }
        if (before == '/' && here == mount_name[0] &&
            bpf_strncmp(path->text + i, len, (const char*)mount_name) == 0) {
            const char after = path->text[i + len];
            if (after == '/' || after == 0) {
                return 1;
            }
        }
        before = here;
    }
    return 0;
}

static __always_inline int starts_with_mount_point(const char* path) {
    __u32 n = 0;
    for (n = 0; n < PATH_STRING - 1 && mount_point[n]; ++n) {
        if (path[n] != mount_point[n]) {
            return 0;
        }
    }
    return path[n] == 0 || path[n] == '/';
}

/* How the path argument lies to the mount: 0 if it is surely elsewhere. */
static __always_inline __u32 place_of(struct task_struct* task,
                                      struct pt_regs* regs,
                                      struct task_info* me,
                                      int which,
                                      __s8 path,
                                      __s8 directory) {
    char* text = me->path[which];
    const void* given = (const void*)argument(regs, path);
    if (!given && directory >= 0) { /* utimensat: the descriptor itself */
        text[0] = 0;
    } else if (bpf_probe_read_user_str(text, PATH_STRING, given) < 0) {
        return 0;
    }
    const __s32 fd = directory < 0 ? AT_CWD : (__s32)argument(regs, directory);
    me->directory[which] = fd;
    if (text[0] == 0) { /* AT_EMPTY_PATH: the descriptor itself */
        me->fd = fd;
    }
    if (text[0] == '/') {
        return starts_with_mount_point(text) ? ON_MOUNT_BY_PATH : 0;
    }
    if (fd == AT_CWD) {
        if (BPF_CORE_READ(task, fs, pwd.dentry, d_sb, s_dev) == connection) {
            return ON_MOUNT_BY_PATH;
        }
    } else if (is_on_mount(file_of(task, fd))) {
        return ON_MOUNT_BY_PATH;
    }
    return names_mount((const struct path_text*)text) ? PERHAPS_ON_MOUNT : 0;
}

SEC("tp_btf/sys_enter")

int BPF_PROG(call_enter, struct pt_regs* regs, long id) {
    if (id < 0 || id >= MAX_CALLS || !accept_new) {
        return 0;
    }
    const volatile struct call_shape* shape = &shapes[id & (MAX_CALLS - 1)];
    if (!shape->traced) {
        return 0;
    }
    struct task_struct* task = bpf_get_current_task_btf();
    if (task->tgid == own_tgid) {
        return 0;
    }
    __u32 found = 0;
    struct file* file = 0;
    __s64 fd = -1;
    if (shape->fd >= 0) {
        fd = (__s32)argument(regs, shape->fd);
        file = file_of(task, fd);
        if (!is_on_mount(file)) {
            return 0;
        }
        found = ON_MOUNT_BY_FD;
    }
    const __u64 now = bpf_ktime_get_ns();
    struct task_info* me = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (!me) {
        return 0;
    }
    clock_start(&me->clock, now);
    me->number = 0;
    me->path[0][0] = 0;
    me->path[1][0] = 0;
    me->fd = fd;
    if (shape->path >= 0) {
        found = place_of(task, regs, me, 0, shape->path, shape->directory);
        if (shape->path2 >= 0) {
            found |= place_of(task, regs, me, 1, shape->path2, shape->directory2);
        }
        if (!found && !shape->opens) {
            return 0;
        }
    }
    if (shape->path >= 0 && me->path[0][0] == 0) {
        file = file_of(task, me->fd);
    }
    me->found = found;
    me->entered = now;
    me->inode = file ? BPF_CORE_READ(file, f_inode, i_ino) : 0;
    me->offset = shape->offset >= 0           ? argument(regs, shape->offset)
                 : shape->at_position && file ? (__u64)BPF_CORE_READ(file, f_pos)
                                              : 0;
    me->size = argument(regs, shape->size);
    if (shape->vector) {
        struct {
            const void* base;
            __u64 len;
        } part;

        const __u64 parts = me->size;
        const char* vector = (const char*)argument(regs, 1);
        me->size = 0;
        for (__u32 i = 0; i < 16; ++i) {
            if (i >= parts || bpf_probe_read_user(&part, sizeof(part), vector + i * sizeof(part))) {
                break;
            }
            me->size += part.len;
        }
    }
    me->flags = (__u32)argument(regs, shape->flags);
    me->think_cpu = UNKNOWN_DEMAND;
    me->think_blocked = UNKNOWN_DEMAND;
    if (me->clock.has_base) {
        me->think_cpu = cpu_until(&me->clock, now) - me->clock.base_cpu;
        me->think_blocked = me->clock.blocked - me->clock.base_blocked;
    }
    me->number = (__u32)id + 1;
    return 0;
}

struct climb {
    struct call_paths* paths;
    __u64 mnt, dentry;
    __u32 which, depth;
    __u32 inside; /* components in the file system it starts from, plus 1; 0: not left yet */
};

/* One step of walk(); ends it with 1. */
static long climb_once(__u32 step, struct climb* climb) {
    struct vfsmount* mnt = (struct vfsmount*)climb->mnt;
    struct dentry* dentry = (struct dentry*)climb->dentry;
    if (dentry == BPF_CORE_READ(mnt, mnt_root)) {
        const __u64 offset = bpf_core_field_offset(struct mount, mnt);
        if (climb->inside == 0) {
            climb->inside = climb->depth + 1;
        }
        struct mount* mount = (struct mount*)(climb->mnt - offset);
        struct mount* parent = BPF_CORE_READ(mount, mnt_parent);
        if (parent == mount || !parent) {
            return 1;
        }
        climb->dentry = (__u64)BPF_CORE_READ(mount, mnt_mountpoint);
        climb->mnt = (__u64)parent + offset;
        return 0;
    }
    const __u32 depth = climb->depth;
    struct call_paths* paths = climb->paths;
    if (depth >= PATH_DEPTH) {
        paths->cut = 1;
        return 1;
    }
    const long len = bpf_probe_read_kernel_str(
        paths->names[climb->which & 1][depth], PATH_NAME, BPF_CORE_READ(dentry, d_name.name));
    if (len == PATH_NAME) {
        paths->cut = 1;
    }
    climb->depth = depth + 1;
    climb->dentry = (__u64)BPF_CORE_READ(dentry, d_parent);
    return 0;
}

/* The names from a directory up to the root, mount by mount. */
static __always_inline void walk(struct call_paths* paths, __u32 which, __u64 mnt, __u64 dentry) {
    struct climb climb = {paths, mnt, dentry, which, 0, 0};
    bpf_loop(PATH_DEPTH + 8, climb_once, &climb, 0);
    paths->depth[which & 1] = climb.depth;
    paths->inside[which & 1] = climb.inside ? climb.inside - 1 : climb.depth;
}

static __always_inline void fill_call(struct call_event* event,
                                      const struct task_info* me,
                                      long ret,
                                      __u64 now) {
    const __u64 pid_tgid = bpf_get_current_pid_tgid();
    event->e.kind = EVENT_CALL;
    event->e.cpu = bpf_get_smp_processor_id();
    event->e.time = now;
    event->e.request = 0;
    event->e.unique = 0;
    event->e.tid = (__u32)pid_tgid;
    event->e.tgid = pid_tgid >> 32;
    event->entered = me->entered;
    event->think_cpu = me->think_cpu;
    event->think_blocked = me->think_blocked;
    event->inode = me->inode;
    event->fd = me->fd;
    event->offset = me->offset;
    event->size = me->size;
    event->result = ret;
    event->number = me->number - 1;
    event->flags = me->flags;
    event->found = me->found;
}

static __always_inline void start_of(struct task_struct* task,
                                     struct call_paths* paths,
                                     const struct task_info* me,
                                     __u32 which) {
    paths->depth[which] = 0;
    paths->inside[which] = 0;
    const char first = me->path[which][0];
    if (first == '/' || (first == 0 && which == 1)) {
        return;
    }
    const __s32 fd = me->directory[which];
    struct vfsmount* mnt = 0;
    struct dentry* dentry = 0;
    if (fd == AT_CWD) {
        mnt = BPF_CORE_READ(task, fs, pwd.mnt);
        dentry = BPF_CORE_READ(task, fs, pwd.dentry);
    } else {
        struct file* file = file_of(task, fd);
        mnt = BPF_CORE_READ(file, f_path.mnt);
        dentry = BPF_CORE_READ(file, f_path.dentry);
    }
    walk(paths, which, (__u64)mnt, (__u64)dentry);
}

SEC("tp_btf/sys_exit")

int BPF_PROG(call_exit, struct pt_regs* regs, long ret) {
    struct task_struct* task = bpf_get_current_task_btf();
    struct task_info* me = info_of(task);
    if (!me || !me->number) {
        return 0;
    }
    const __u32 number = (me->number - 1) & (MAX_CALLS - 1);
    const volatile struct call_shape* shape = &shapes[number];
    const __u64 now = bpf_ktime_get_ns();
    struct file* opened = 0;
    if (shape->opens) {
        if (ret >= 0) {
            opened = file_of(task, ret);
            if (!is_on_mount(opened)) {
                me->number = 0;
                return 0;
            }
            me->found = ON_MOUNT_BY_FD;
            me->fd = ret;
            me->inode = BPF_CORE_READ(opened, f_inode, i_ino);
        } else if (!me->found) {
            me->number = 0;
            return 0;
        }
    }
    if (shape->path < 0) {
        struct call_event* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
        if (event) {
            fill_call(event, me, ret, now);
            event->has_paths = 0;
            bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
        } else {
            __sync_fetch_and_add(&counts.lost[EVENT_CALL], 1);
        }
    } else {
        struct {
            struct call_event call;
            struct call_paths paths;
        }* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

        if (event) {
            fill_call(&event->call, me, ret, now);
            event->call.has_paths = 1;
            event->paths.cut = 0;
            event->paths.own = opened != 0;
            event->paths.depth[1] = 0;
            event->paths.inside[1] = 0;
            __builtin_memcpy(event->paths.path, me->path, sizeof(me->path));
            if (opened) { /* its own name, free of links */
                walk(&event->paths,
                     0,
                     (__u64)BPF_CORE_READ(opened, f_path.mnt),
                     (__u64)BPF_CORE_READ(opened, f_path.dentry));
            } else {
                start_of(task, &event->paths, me, 0);
                start_of(task, &event->paths, me, 1);
            }
            bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
        } else {
            __sync_fetch_and_add(&counts.lost[EVENT_CALL], 1);
        }
    }
    me->number = 0;
    clock_set_base(&me->clock, now);
    return 0;
}

SEC("tp_btf/sched_waking")

int BPF_PROG(call_waking, struct task_struct* task) {
    struct task_info* wakee = info_of(task);
    if (wakee) {
        clock_wakes(&wakee->clock, 1, bpf_ktime_get_ns());
    }
    return 0;
}

SEC("tp_btf/sched_switch")

int BPF_PROG(call_switch,
             _Bool preempt,
             struct task_struct* prev,
             struct task_struct* next,
             unsigned int prev_state) {
    struct task_info* out = info_of(prev);
    if (out) {
        clock_leaves_cpu(&out->clock, !preempt && prev_state, bpf_ktime_get_ns());
    }
    struct task_info* in = info_of(next);
    if (in) {
        clock_gets_cpu(&in->clock, bpf_ktime_get_ns());
    }
    return 0;
}
