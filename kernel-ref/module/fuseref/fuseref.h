/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fuseref: a FUSE file system of its own, to measure how requests cross the
 * kernel's border. See README.md in the folder above.
 */
#ifndef FUSEREF_H
#define FUSEREF_H

#include <linux/bvec.h>
#include <linux/fs.h>
#include <linux/fuse.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xattr.h>

#include "stamps.h"

#define FR_HASH_BITS 8
#define FR_HASH_SIZE (1 << FR_HASH_BITS)

/* Unique ids are even; the odd one after a request's is its INTERRUPT's. */
#define FR_UNIQUE_STEP 2
#define FR_UNIQUE_INTERRUPT 1ULL

#define FR_PAGES_DEFAULT 32
#define FR_PAGES_LIMIT 256

#define FR_BACKGROUND_DEFAULT 12
#define FR_CONGESTION_DEFAULT 9

struct fr_conn;
struct fr_dev;
struct fr_input;

/* One part of a message's fixed arguments. */
struct fr_in {
	unsigned int size;
	const void *data;
};

struct fr_out {
	unsigned int size;
	void *data;
};

/*
 * What a request says and where its reply goes. Lives on the caller's stack,
 * or for a background request in an object that done() frees.
 */
struct fr_args {
	u64 nodeid;
	u32 opcode;
	u8 nr_in;
	u8 nr_out;
	bool force:1;		/* cannot fail, waits at no gate */
	bool no_creds:1;
	bool data_in:1;		/* vecs follow the last fr_in */
	bool data_out:1;	/* vecs follow the last fr_out */
	bool variable:1;	/* the reply's last part may be shorter */
	bool zero_rest:1;	/* pages that the reply leaves out are zeroed */
	struct fr_in in[3];
	struct fr_out out[2];
	struct bio_vec *vecs;
	unsigned int nr_vecs;
	unsigned int data_size;	/* bytes in vecs */
	unsigned int got;	/* bytes in the last part of the reply */
	void (*done)(struct fr_conn *conn, struct fr_args *args, int error);
};

enum fr_req_flag {
	FR_WANTS_REPLY,
	FR_FORCED,
	FR_BACKGROUND,		/* is counted in num_background */
	FR_PENDING,		/* in an input queue */
	FR_SENT,		/* the daemon has all of it */
	FR_LOCKED,		/* somebody copies its arguments */
	FR_ABORTED,		/* to be ended by whoever holds it locked */
	FR_PRIVATE,		/* in nobody's list any more */
	FR_INTERRUPTED,
	FR_FINISHED,
};

struct fr_req {
	struct list_head link;	/* background, pending, io or processing */
	struct list_head interrupt_link;
	refcount_t refs;
	unsigned long flags;
	struct fr_args *args;
	struct fr_conn *conn;
	struct fr_input *input;	/* where it was queued */
	struct fuse_in_header in;
	struct fuse_out_header out;
	wait_queue_head_t wait;	/* its lock also guards FR_LOCKED */
	u64 wait_began;		/* of its caller, ns (channels) */
	struct fr_stamp stamp;
};

struct fr_forget {
	struct fuse_forget_one one;
	struct fr_forget *next;
};

/* Models fuse_iqueue: what waits for a daemon thread. */
struct fr_input {
	spinlock_t lock;
	bool connected;
	wait_queue_head_t readers;
	struct list_head pending;
	struct list_head interrupts;
	struct fr_forget forgets;	/* head; .next is the oldest */
	struct fr_forget *last_forget;
	int forget_turns;
	unsigned int index;
	unsigned int clones;		/* that read it (channels); under conn->lock */
	/* Observed, averaged, ns; written without a lock (channels). */
	u64 daemon_gap;			/* how long a daemon thread finds nothing */
	u64 call_time;			/* how long a caller waits for its answer */
} ____cacheline_aligned_in_smp;

/* One open (or cloned) /dev/fuseref. Models fuse_dev with its fuse_pqueue. */
struct fr_dev {
	struct fr_conn *conn;
	struct fr_input *input;
	bool clone;
	struct list_head link;		/* in conn->devices */
	spinlock_t lock;
	bool connected;
	struct list_head io;		/* being copied */
	struct list_head processing[FR_HASH_SIZE];
};

/*
 * How requests reach the daemon. Everything else is common: what a request is,
 * the gates, the background queue, how a reply is parsed.
 */
struct fuseref_transport_ops {
	const char *name;
	int (*init)(struct fr_conn *conn);
	void (*destroy)(struct fr_conn *conn);
	/* Called with conn->lock held whenever a device comes or goes. */
	void (*attach)(struct fr_conn *conn, struct fr_dev *dev);
	void (*detach)(struct fr_conn *conn, struct fr_dev *dev);
	/* Makes it pending; false if disconnected. Also called with bg_lock held. */
	bool (*queue)(struct fr_conn *conn, struct fr_req *req);
	void (*queue_forget)(struct fr_conn *conn, struct fr_forget *forget);
	void (*queue_interrupt)(struct fr_conn *conn, struct fr_req *req);
	/* Takes back a request that no daemon has seen. */
	bool (*cancel)(struct fr_conn *conn, struct fr_req *req);
	/* Busy waiting; may be null. Before the caller sleeps, and once it has its answer: */
	void (*spin)(struct fr_conn *conn, struct fr_req *req);
	void (*waited)(struct fr_conn *conn, struct fr_req *req);
	/* Before a daemon thread sleeps, and once it has found something after `idle` ns: */
	void (*spin_reader)(struct fr_conn *conn, struct fr_input *input);
	void (*reader_found)(struct fr_conn *conn, struct fr_input *input, u64 idle);
	/* Ends everything queued; the caller has cut conn->connected. */
	void (*abort)(struct fr_conn *conn, struct list_head *doomed);
};

extern const struct fuseref_transport_ops fr_classic;
extern const struct fuseref_transport_ops fr_channels;

/* One mount. Models fuse_conn. */
struct fr_conn {
	spinlock_t lock;
	refcount_t refs;
	atomic_t devices_open;
	dev_t dev;
	kuid_t user_id;
	kgid_t group_id;
	const struct fuseref_transport_ops *transport;
	struct list_head devices;
	struct fr_input *inputs;
	unsigned int nr_inputs;
	unsigned int nr_attached;
	atomic64_t unique;

	bool connected;			/* false after abort */
	bool initialized;
	bool error;			/* INIT failed */
	bool blocked;			/* num_background reached the limit */
	wait_queue_head_t gate;
	atomic_t waiting;		/* requests alive; nobody left: wakes drained */
	wait_queue_head_t drained;

	spinlock_t bg_lock;
	struct list_head bg_queue;
	unsigned int num_background;
	unsigned int active_background;
	unsigned int max_background;
	unsigned int congestion_threshold;

	atomic64_t attr_version;
	u32 owner_key[4];

	/* Mount options and what INIT agreed on. */
	unsigned int max_read;
	unsigned int max_write;
	unsigned int max_pages;
	bool default_permissions:1;
	bool allow_other:1;
	bool send_destroy:1;
	unsigned int async_read:1;
	unsigned int async_dio:1;
	unsigned int atomic_o_trunc:1;
	unsigned int auto_inval_data:1;
	unsigned int readdirplus:1;
	unsigned int readdirplus_auto:1;
	unsigned int parallel_dirops:1;
	/* Answered with ENOSYS once, not asked again; own words for races. */
	bool no_open, no_opendir, no_create, no_flush, no_fsync, no_fsyncdir;
	bool no_access, no_interrupt, no_getxattr, no_setxattr, no_listxattr;
	bool no_removexattr, no_fallocate, no_rename2;

	/* channels: how long to look before sleeping, and what sleeping costs */
	u64 busy_wait_ns;
	u64 event_wait_ns;

	struct super_block *sb;
	struct dentry *debug;
	atomic64_t sent[64];		/* requests queued, by opcode */
	struct rcu_head rcu;
};

enum fr_inode_flag {
	FR_ADVISE_RDPLUS,	/* the directory's next READDIR be a READDIRPLUS */
	FR_PRIMED_RDPLUS,	/* made by READDIRPLUS, not yet looked at */
	FR_SIZE_UNSTABLE,	/* attributes of others' replies do not count */
};

/* Models fuse_inode. */
struct fr_inode {
	struct inode inode;
	u64 nodeid;
	u64 nlookup;		/* under lock */
	struct fr_forget *forget;
	spinlock_t lock;
	u64 attr_until;		/* jiffies64 until which the attributes count */
	u32 stale;		/* STATX_*: fields that do not count even so */
	u64 attr_version;
	umode_t orig_mode;	/* as the daemon said */
	unsigned long flags;
	struct mutex dir_lock;	/* without PARALLEL_DIROPS: one lookup a directory */
};

/* Models fuse_file. */
struct fr_file {
	struct fr_conn *conn;
	u64 fh;
	u64 nodeid;
	u32 open_flags;
	bool opened;		/* OPEN was answered: RELEASE is due */
	refcount_t refs;
	struct inode *inode;	/* held while RELEASE is on its way */
	struct fr_args release;	/* kept here, so that closing cannot fail */
	struct fuse_release_in release_in;
};

static inline struct fr_inode *fr_i(const struct inode *inode)
{
	return container_of(inode, struct fr_inode, inode);
}

static inline struct fr_conn *fr_conn_of(const struct inode *inode)
{
	return inode->i_sb->s_fs_info;
}

#define FR_ROOT_ID 1

/* conn.c: requests and connections */
extern struct kmem_cache *fr_req_cache;
struct fr_conn *fr_conn_new(const struct fuseref_transport_ops *transport, unsigned int inputs);
struct fr_conn *fr_conn_get(struct fr_conn *conn);
void fr_conn_put(struct fr_conn *conn);
void fr_abort(struct fr_conn *conn);
void fr_open_gate(struct fr_conn *conn);
void fr_set_max_background(struct fr_conn *conn, unsigned int value);
ssize_t fr_call(struct fr_conn *conn, struct fr_args *args);
int fr_call_background(struct fr_conn *conn, struct fr_args *args);
void fr_req_end(struct fr_req *req);
void fr_req_put(struct fr_req *req);
struct fr_forget *fr_forget_alloc(void);
void fr_send_forget(struct fr_conn *conn, struct fr_forget *forget, u64 nodeid, u64 nlookup);
bool fr_congested(struct fr_conn *conn);

static inline void fr_req_get(struct fr_req *req)
{
	refcount_inc(&req->refs);
}

static inline void fr_in(struct fr_args *args, const void *data, unsigned int size)
{
	args->in[args->nr_in].data = data;
	args->in[args->nr_in++].size = size;
}

static inline void fr_in_name(struct fr_args *args, const struct qstr *name)
{
	fr_in(args, name->name, name->len + 1);
}

static inline void fr_out(struct fr_args *args, void *data, unsigned int size)
{
	args->out[args->nr_out].data = data;
	args->out[args->nr_out++].size = size;
}

/* dev.c: the device, and the transport classic */
extern const struct file_operations fr_dev_operations;
struct fr_dev *fr_dev_new(struct fr_conn *conn);
void fr_dev_free(struct fr_dev *dev);
void fr_dev_attach(struct fr_dev *dev, struct fr_conn *conn);
int fr_dev_bind_fd(int fd, struct fr_conn *conn);
void fr_input_init(struct fr_input *input, unsigned int index);
bool fr_input_queue(struct fr_input *input, struct fr_req *req);
bool fr_input_queue_forget(struct fr_input *input, struct fr_forget *forget);
bool fr_input_filled(struct fr_input *input);
struct fr_input *fr_lock_input_of(struct fr_req *req);
void fr_any_queue_interrupt(struct fr_conn *conn, struct fr_req *req);
bool fr_any_cancel(struct fr_conn *conn, struct fr_req *req);
void fr_input_cut(struct fr_input *input, struct list_head *doomed);

/* copy.c */
struct fr_copier {
	struct fr_req *req;	/* null for messages that are no requests */
	struct iov_iter *iter;
	bool to_daemon;
	struct page *page;	/* of the daemon's buffer */
	unsigned int offset;
	unsigned int left;
};

int fr_copy(struct fr_copier *copier, void *data, unsigned int size);
int fr_copy_request(struct fr_copier *copier, struct fr_args *args);
int fr_copy_reply(struct fr_copier *copier, struct fr_args *args, unsigned int size);
void fr_copy_end(struct fr_copier *copier);

/* super.c: mounts and inodes */
extern struct file_system_type fr_type;
int fr_inode_cache_init(void);
void fr_inode_cache_exit(void);
struct inode *fr_iget(struct super_block *sb, u64 nodeid, const struct fuse_attr *attr,
		      u64 valid, u64 version);
void fr_set_attributes(struct inode *inode, const struct fuse_attr *attr, u64 valid, u64 version);
void fr_force_attributes(struct inode *inode, const struct fuse_attr *attr, u64 valid);
u64 fr_until(u64 seconds, u32 nanoseconds);
bool fr_sane_attr(const struct fuse_attr *attr);

static inline u64 fr_attr_version(struct fr_conn *conn)
{
	return atomic64_read(&conn->attr_version);
}

static inline void fr_mark_stale(struct inode *inode, u32 fields)
{
	WRITE_ONCE(fr_i(inode)->stale, READ_ONCE(fr_i(inode)->stale) | fields);
}

#define FR_STALE_MODIFIED (STATX_MTIME | STATX_CTIME | STATX_BLOCKS)

/* dir.c */
extern const struct dentry_operations fr_dentry_operations;
extern const struct inode_operations fr_file_inode_operations;
void fr_init_dir(struct inode *inode);
void fr_init_symlink(struct inode *inode);
void fr_init_special(struct inode *inode);
int fr_refresh(struct inode *inode, struct file *file, u32 fields);
int fr_setattr_now(struct dentry *dentry, struct iattr *attr, struct file *file);
void fr_set_entry_time(struct dentry *dentry, u64 until);
struct inode *fr_lookup_name(struct inode *dir, const struct qstr *name,
			     struct fuse_entry_out *out);
void fr_advise_readdirplus(struct inode *dir);
bool fr_allowed(struct fr_conn *conn);
bool fr_lock_dir(struct inode *dir);
void fr_unlock_dir(struct inode *dir, bool locked);

/* readdir.c */
int fr_readdir(struct file *file, struct dir_context *ctx);

/* file.c */
void fr_init_file(struct inode *inode);
struct fr_file *fr_file_alloc(struct fr_conn *conn);
void fr_file_free(struct fr_file *ff);
void fr_file_put(struct fr_file *ff);
int fr_open_common(struct inode *inode, struct file *file, bool dir);
void fr_finish_open(struct inode *inode, struct file *file);
void fr_release_common(struct fr_file *ff, struct inode *inode, unsigned int flags, bool dir);
int fr_fsync_common(struct file *file, int datasync, u32 opcode, bool *unsupported);
u64 fr_lock_owner(struct fr_conn *conn, fl_owner_t id);

/* xattr.c */
extern const struct xattr_handler *fr_xattr_handlers[];
ssize_t fr_listxattr(struct dentry *dentry, char *list, size_t size);

#endif
