/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The few fields of kernel structures that the recorder reads. Each is found by name in the BTF of
 * the kernel that runs (CO-RE), so that a build needs no kernel's BTF and fits later kernels.
 */
#ifndef FUSESIM_RECORD_KERNEL_TYPES_H
#define FUSESIM_RECORD_KERNEL_TYPES_H

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
    unsigned long r10, r9, r8, dx, si, di, orig_ax;
};

struct qstr {
    const unsigned char* name;
};

struct super_block {
    __u32 s_dev;
};

struct inode {
    struct super_block* i_sb;
    unsigned long i_ino;
};

struct dentry {
    struct dentry* d_parent;
    struct qstr d_name;
    struct super_block* d_sb;
};

struct vfsmount {
    struct dentry* mnt_root;
};

struct mount {
    struct mount* mnt_parent;
    struct dentry* mnt_mountpoint;
    struct vfsmount mnt;
};

struct path {
    struct vfsmount* mnt;
    struct dentry* dentry;
};

struct file {
    void* private_data;
    struct inode* f_inode;
    struct path f_path;
    long long f_pos;
};

struct fdtable {
    unsigned int max_fds;
    struct file** fd;
};

struct files_struct {
    struct fdtable* fdt;
};

struct fs_struct {
    struct path pwd;
};

struct task_struct {
    int pid;
    int tgid;
    struct files_struct* files;
    struct fs_struct* fs;
};

struct fuse_conn {
    unsigned int max_read;
    unsigned int max_write;
    unsigned int max_pages;
    unsigned int max_background;
    unsigned int congestion_threshold;
    unsigned int num_background;
    unsigned int minor;
    unsigned int io_uring;
    unsigned int async_read : 1;
    unsigned int writeback_cache : 1;
    unsigned int parallel_dirops : 1;
    unsigned int no_interrupt : 1;
    unsigned int do_readdirplus : 1;
    unsigned int readdirplus_auto : 1;
    unsigned int async_dio : 1;
    unsigned int default_permissions : 1;
    unsigned int passthrough : 1;
    __u32 dev;
};

struct fuse_mount {
    struct fuse_conn* fc;
};

struct fuse_dev {
    struct fuse_conn* fc;
};

struct fuse_in_header {
    __u32 len;
    __u32 opcode;
    __u64 unique;
    __u64 nodeid;
    __u32 uid;
    __u32 gid;
    __u32 pid;
};

struct fuse_out_header {
    __u32 len;
    __s32 error;
    __u64 unique;
};

struct fuse_in_arg {
    unsigned int size;
};

struct fuse_args {
    __u8 in_numargs;
    struct fuse_in_arg in_args[3];
};

struct fuse_req {
    struct fuse_args* args;
    unsigned long flags;

    struct {
        struct fuse_in_header h;
    } in;

    struct {
        struct fuse_out_header h;
    } out;
    struct fuse_mount* fm;
};

#pragma clang attribute pop

enum fuse_req_flag { FR_ISREPLY, FR_BACKGROUND = 2, FR_URING = 12 };

#endif
