// SPDX-License-Identifier: GPL-2.0
/* Mounts, INIT, and inodes with their attributes. */
#include <linux/backing-dev.h>
#include <linux/debugfs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "fuseref.h"

#define FR_SUPER_MAGIC 0x66757366

static struct kmem_cache *fr_inode_cache;
static struct dentry *fr_debug_root;

u64 fr_until(u64 seconds, u32 nanoseconds)
{
	struct timespec64 time = {
		.tv_sec = seconds,
		.tv_nsec = min_t(u32, nanoseconds, NSEC_PER_SEC - 1),
	};

	/* Zero is "not at all": also within the tick that it arrived in. */
	return seconds || nanoseconds ? get_jiffies_64() + timespec64_to_jiffies(&time) : 0;
}

bool fr_sane_attr(const struct fuse_attr *attr)
{
	switch (attr->mode & S_IFMT) {
	case S_IFREG: case S_IFDIR: case S_IFLNK: case S_IFCHR:
	case S_IFBLK: case S_IFIFO: case S_IFSOCK:
		return attr->size <= LLONG_MAX;
	}
	return false;
}

/*
 * What a reply says, if nothing has changed since the question of `version`;
 * what this kernel has just set itself (`forced`) counts in any case.
 */
static void fr_store_attributes(struct inode *inode, const struct fuse_attr *attr, u64 valid,
				u64 version, bool forced)
{
	struct fr_conn *conn = fr_conn_of(inode);
	struct fr_inode *fi = fr_i(inode);
	struct timespec64 old_mtime;
	loff_t old_size;

	spin_lock(&fi->lock);
	if (!forced && ((version && fi->attr_version > version) ||
			test_bit(FR_SIZE_UNSTABLE, &fi->flags))) {
		spin_unlock(&fi->lock);
		return;
	}
	old_mtime = inode->i_mtime;
	old_size = inode->i_size;
	fi->attr_version = atomic64_inc_return(&conn->attr_version);
	fi->attr_until = valid;
	WRITE_ONCE(fi->stale, 0);
	inode->i_ino = attr->ino;
	inode->i_mode = (inode->i_mode & S_IFMT) | (attr->mode & 07777);
	fi->orig_mode = inode->i_mode;
	set_nlink(inode, attr->nlink);
	inode->i_uid = make_kuid(&init_user_ns, attr->uid);
	inode->i_gid = make_kgid(&init_user_ns, attr->gid);
	inode->i_blocks = attr->blocks;
	inode->i_atime.tv_sec = attr->atime;
	inode->i_atime.tv_nsec = min_t(u32, attr->atimensec, NSEC_PER_SEC - 1);
	inode->i_mtime.tv_sec = attr->mtime;
	inode->i_mtime.tv_nsec = min_t(u32, attr->mtimensec, NSEC_PER_SEC - 1);
	inode->i_ctime.tv_sec = attr->ctime;
	inode->i_ctime.tv_nsec = min_t(u32, attr->ctimensec, NSEC_PER_SEC - 1);
	if (attr->blksize)
		inode->i_blkbits = ilog2(attr->blksize);
	else
		inode->i_blkbits = inode->i_sb->s_blocksize_bits;
	/* The sticky bit is the daemon's business, unless the kernel checks. */
	if (!conn->default_permissions)
		inode->i_mode &= ~S_ISVTX;
	if (S_ISREG(inode->i_mode))
		i_size_write(inode, attr->size);
	else
		inode->i_size = attr->size;
	spin_unlock(&fi->lock);

	if (S_ISREG(inode->i_mode)) {
		bool changed = false;

		if (old_size != attr->size) {
			truncate_pagecache(inode, attr->size);
			changed = forced || conn->auto_inval_data;
		} else if (conn->auto_inval_data && !forced) {
			changed = !timespec64_equal(&old_mtime, &inode->i_mtime);
		}
		if (changed)
			invalidate_inode_pages2(inode->i_mapping);
	}
}

void fr_set_attributes(struct inode *inode, const struct fuse_attr *attr, u64 valid, u64 version)
{
	fr_store_attributes(inode, attr, valid, version, false);
}

void fr_force_attributes(struct inode *inode, const struct fuse_attr *attr, u64 valid)
{
	fr_store_attributes(inode, attr, valid, 0, true);
}

static int fr_inode_test(struct inode *inode, void *nodeid)
{
	return fr_i(inode)->nodeid == *(u64 *)nodeid;
}

static int fr_inode_set(struct inode *inode, void *nodeid)
{
	fr_i(inode)->nodeid = *(u64 *)nodeid;
	return 0;
}

static void fr_inode_setup(struct inode *inode, const struct fuse_attr *attr)
{
	inode->i_mode = attr->mode & S_IFMT;
	inode->i_size = attr->size;
	inode->i_mtime.tv_sec = attr->mtime;
	inode->i_mtime.tv_nsec = attr->mtimensec;
	/* The daemon keeps the times. */
	inode->i_flags |= S_NOATIME | S_NOCMTIME;
	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		fr_init_file(inode);
		break;
	case S_IFDIR:
		fr_init_dir(inode);
		break;
	case S_IFLNK:
		fr_init_symlink(inode);
		break;
	default:
		fr_init_special(inode);
		init_special_inode(inode, inode->i_mode, new_decode_dev(attr->rdev));
	}
}

/* The inode of a node that a reply names; one more lookup of it. */
struct inode *fr_iget(struct super_block *sb, u64 nodeid, const struct fuse_attr *attr,
		      u64 valid, u64 version)
{
	struct fr_inode *fi;
	struct inode *inode;

retry:
	inode = iget5_locked(sb, nodeid, fr_inode_test, fr_inode_set, &nodeid);
	if (!inode)
		return NULL;
	if (inode->i_state & I_NEW) {
		fr_inode_setup(inode, attr);
		unlock_new_inode(inode);
	} else if (is_bad_inode(inode) || inode_wrong_type(inode, attr->mode)) {
		/* The daemon has given the number to another file. */
		if (inode == d_inode(sb->s_root)) {
			iput(inode);
			return NULL;
		}
		remove_inode_hash(inode);
		make_bad_inode(inode);
		iput(inode);
		goto retry;
	}
	fi = fr_i(inode);
	spin_lock(&fi->lock);
	fi->nlookup++;
	spin_unlock(&fi->lock);
	fr_set_attributes(inode, attr, valid, version);
	return inode;
}

static struct inode *fr_alloc_inode(struct super_block *sb)
{
	struct fr_inode *fi = alloc_inode_sb(sb, fr_inode_cache, GFP_KERNEL);

	if (!fi)
		return NULL;
	fi->nodeid = 0;
	fi->nlookup = 0;
	fi->attr_until = 0;
	fi->stale = 0;
	fi->attr_version = 0;
	fi->orig_mode = 0;
	fi->flags = 0;
	spin_lock_init(&fi->lock);
	mutex_init(&fi->dir_lock);
	fi->forget = fr_forget_alloc();
	if (!fi->forget) {
		kmem_cache_free(fr_inode_cache, fi);
		return NULL;
	}
	return &fi->inode;
}

static void fr_free_inode(struct inode *inode)
{
	struct fr_inode *fi = fr_i(inode);

	mutex_destroy(&fi->dir_lock);
	kfree(fi->forget);
	kmem_cache_free(fr_inode_cache, fi);
}

static void fr_evict_inode(struct inode *inode)
{
	struct fr_inode *fi = fr_i(inode);

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	/* At unmount the daemon forgets everything by itself. */
	if ((inode->i_sb->s_flags & SB_ACTIVE) && fi->nlookup) {
		fr_send_forget(fr_conn_of(inode), fi->forget, fi->nodeid, fi->nlookup);
		fi->forget = NULL;
	}
}

static int fr_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct fr_conn *conn = fr_conn_of(d_inode(dentry));
	struct fuse_statfs_out out = {};
	struct fr_args args = {
		.opcode = FUSE_STATFS,
		.nodeid = fr_i(d_inode(dentry))->nodeid,
	};
	ssize_t err;

	fr_out(&args, &out, sizeof(out));
	err = fr_call(conn, &args);
	if (err)
		return err;
	buf->f_type = FR_SUPER_MAGIC;
	buf->f_bsize = out.st.bsize;
	buf->f_frsize = out.st.frsize;
	buf->f_blocks = out.st.blocks;
	buf->f_bfree = out.st.bfree;
	buf->f_bavail = out.st.bavail;
	buf->f_files = out.st.files;
	buf->f_ffree = out.st.ffree;
	buf->f_namelen = out.st.namelen;
	return 0;
}

static int fr_show_options(struct seq_file *m, struct dentry *root)
{
	struct fr_conn *conn = root->d_sb->s_fs_info;

	seq_printf(m, ",user_id=%u,group_id=%u,transport=%s",
		   from_kuid_munged(&init_user_ns, conn->user_id),
		   from_kgid_munged(&init_user_ns, conn->group_id), conn->transport->name);
	if (conn->nr_inputs > 1)
		seq_printf(m, ",channels=%u", conn->nr_inputs);
	if (conn->default_permissions)
		seq_puts(m, ",default_permissions");
	if (conn->allow_other)
		seq_puts(m, ",allow_other");
	return 0;
}

static void fr_umount_begin(struct super_block *sb)
{
	fr_abort(sb->s_fs_info);
}

static const struct super_operations fr_super_operations = {
	.alloc_inode = fr_alloc_inode,
	.free_inode = fr_free_inode,
	.evict_inode = fr_evict_inode,
	.drop_inode = generic_delete_inode,
	.statfs = fr_statfs,
	.show_options = fr_show_options,
	.umount_begin = fr_umount_begin,
};

struct fr_init {
	struct fr_args args;
	struct fuse_init_in in;
	struct fuse_init_out out;
};

static void fr_init_done(struct fr_conn *conn, struct fr_args *args, int error)
{
	struct fr_init *init = container_of(args, struct fr_init, args);
	struct fuse_init_out *out = &init->out;
	struct backing_dev_info *bdi = conn->sb->s_bdi;

	if (error || out->major != FUSE_KERNEL_VERSION || out->minor < 23) {
		conn->error = true;
	} else {
		unsigned long ra_pages = out->max_readahead / PAGE_SIZE;

		conn->max_write = max_t(u32, out->max_write, PAGE_SIZE);
		if (out->flags & FUSE_MAX_PAGES)
			conn->max_pages = clamp_t(unsigned int, out->max_pages, 1,
						  FR_PAGES_LIMIT);
		bdi->ra_pages = min(bdi->ra_pages, ra_pages);
		conn->async_read = !!(out->flags & FUSE_ASYNC_READ);
		conn->atomic_o_trunc = !!(out->flags & FUSE_ATOMIC_O_TRUNC);
		conn->auto_inval_data = !!(out->flags & FUSE_AUTO_INVAL_DATA);
		conn->readdirplus = !!(out->flags & FUSE_DO_READDIRPLUS);
		conn->readdirplus_auto = !!(out->flags & FUSE_READDIRPLUS_AUTO);
		conn->parallel_dirops = !!(out->flags & FUSE_PARALLEL_DIROPS);
		spin_lock(&conn->bg_lock);
		if (out->max_background)
			conn->max_background = out->max_background;
		if (out->congestion_threshold)
			conn->congestion_threshold = out->congestion_threshold;
		spin_unlock(&conn->bg_lock);
	}
	kfree(init);
	fr_open_gate(conn);
}

static int fr_send_init(struct fr_conn *conn)
{
	struct fr_init *init = kzalloc(sizeof(*init), GFP_KERNEL);
	int err;

	if (!init)
		return -ENOMEM;
	init->in.major = FUSE_KERNEL_VERSION;
	init->in.minor = FUSE_KERNEL_MINOR_VERSION;
	init->in.max_readahead = conn->sb->s_bdi->ra_pages * PAGE_SIZE;
	init->in.flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
			 FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
			 FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV | FUSE_MAX_PAGES |
			 FUSE_INIT_EXT;
	init->args.opcode = FUSE_INIT;
	init->args.force = true;
	init->args.no_creds = true;
	init->args.variable = true;
	init->args.done = fr_init_done;
	fr_in(&init->args, &init->in, sizeof(init->in));
	fr_out(&init->args, &init->out, sizeof(init->out));
	err = fr_call_background(conn, &init->args);
	if (err)
		kfree(init);
	return err;
}

/* debugfs: fuseref/<minor>/ */
static int fr_waiting_get(void *conn, u64 *value)
{
	*value = atomic_read(&((struct fr_conn *)conn)->waiting);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(fr_waiting_fops, fr_waiting_get, NULL, "%llu\n");

static int fr_abort_set(void *conn, u64 value)
{
	fr_abort(conn);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(fr_abort_fops, NULL, fr_abort_set, "%llu\n");

static int fr_background_get(void *conn, u64 *value)
{
	*value = ((struct fr_conn *)conn)->max_background;
	return 0;
}

static int fr_background_set(void *conn, u64 value)
{
	if (!value || value > 65535)
		return -EINVAL;
	fr_set_max_background(conn, value);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(fr_background_fops, fr_background_get, fr_background_set, "%llu\n");

static int fr_requests_show(struct seq_file *m, void *unused)
{
	struct fr_conn *conn = m->private;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(conn->sent); i++) {
		u64 count = atomic64_read(&conn->sent[i]);

		if (count)
			seq_printf(m, "%u %llu\n", i, count);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(fr_requests);

static void fr_debug_add(struct fr_conn *conn)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", MINOR(conn->dev));
	conn->debug = debugfs_create_dir(name, fr_debug_root);
	debugfs_create_file_unsafe("waiting", 0400, conn->debug, conn, &fr_waiting_fops);
	debugfs_create_file_unsafe("abort", 0200, conn->debug, conn, &fr_abort_fops);
	debugfs_create_file_unsafe("max_background", 0600, conn->debug, conn,
				   &fr_background_fops);
	debugfs_create_file("requests", 0400, conn->debug, conn, &fr_requests_fops);
}

struct fr_options {
	int fd;
	bool has_fd;
	unsigned int rootmode;
	unsigned int max_read;
	unsigned int channels;
	unsigned int busy_us;
	unsigned int event_us;
	kuid_t user_id;
	kgid_t group_id;
	bool default_permissions;
	bool allow_other;
	bool send_destroy;
	const struct fuseref_transport_ops *transport;
};

enum fr_option {
	FR_OPT_FD, FR_OPT_ROOTMODE, FR_OPT_USER, FR_OPT_GROUP, FR_OPT_PERMISSIONS, FR_OPT_OTHER,
	FR_OPT_MAX_READ, FR_OPT_DESTROY, FR_OPT_TRANSPORT, FR_OPT_CHANNELS, FR_OPT_BUSY,
	FR_OPT_EVENT, FR_OPT_SUBTYPE,
};

static const struct fs_parameter_spec fr_parameters[] = {
	fsparam_u32("fd", FR_OPT_FD),
	fsparam_u32oct("rootmode", FR_OPT_ROOTMODE),
	fsparam_u32("user_id", FR_OPT_USER),
	fsparam_u32("group_id", FR_OPT_GROUP),
	fsparam_flag("default_permissions", FR_OPT_PERMISSIONS),
	fsparam_flag("allow_other", FR_OPT_OTHER),
	fsparam_u32("max_read", FR_OPT_MAX_READ),
	fsparam_flag("destroy", FR_OPT_DESTROY),
	fsparam_string("transport", FR_OPT_TRANSPORT),
	fsparam_u32("channels", FR_OPT_CHANNELS),
	fsparam_u32("busy_wait_us", FR_OPT_BUSY),
	fsparam_u32("event_wait_us", FR_OPT_EVENT),
	fsparam_string("subtype", FR_OPT_SUBTYPE),
	{}
};

static int fr_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct fr_options *options = fc->fs_private;
	struct fs_parse_result result;
	int option = fs_parse(fc, fr_parameters, param, &result);

	if (option < 0) {
		if (option != -ENOPARAM)
			return option;
		option = vfs_parse_fs_param_source(fc, param);
		if (option != -ENOPARAM)
			return option;
		return invalf(fc, "fuseref: unknown option '%s'", param->key);
	}
	switch (option) {
	case FR_OPT_FD:
		options->fd = result.uint_32;
		options->has_fd = true;
		break;
	case FR_OPT_ROOTMODE:
		options->rootmode = result.uint_32;
		break;
	case FR_OPT_USER:
		options->user_id = make_kuid(fc->user_ns, result.uint_32);
		break;
	case FR_OPT_GROUP:
		options->group_id = make_kgid(fc->user_ns, result.uint_32);
		break;
	case FR_OPT_PERMISSIONS:
		options->default_permissions = true;
		break;
	case FR_OPT_OTHER:
		options->allow_other = true;
		break;
	case FR_OPT_MAX_READ:
		options->max_read = result.uint_32;
		break;
	case FR_OPT_DESTROY:
		options->send_destroy = true;
		break;
	case FR_OPT_TRANSPORT:
		if (!strcmp(param->string, fr_classic.name))
			options->transport = &fr_classic;
		else if (!strcmp(param->string, fr_channels.name))
			options->transport = &fr_channels;
		else
			return invalf(fc, "fuseref: no transport '%s'", param->string);
		break;
	case FR_OPT_CHANNELS:
		if (!result.uint_32 || result.uint_32 > 1024)
			return invalf(fc, "fuseref: channels is outside 1..1024");
		options->channels = result.uint_32;
		break;
	case FR_OPT_BUSY:
		options->busy_us = result.uint_32;
		break;
	case FR_OPT_EVENT:
		options->event_us = result.uint_32;
		break;
	}
	return 0;
}

static int fr_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct fr_options *options = fc->fs_private;
	struct fuse_attr root = { .mode = options->rootmode, .ino = FR_ROOT_ID, .nlink = 1 };
	unsigned int inputs;
	struct fr_conn *conn;
	struct inode *inode;
	int err;

	if (!options->has_fd || !S_ISDIR(options->rootmode) ||
	    !uid_valid(options->user_id) || !gid_valid(options->group_id))
		return invalf(fc, "fuseref: needs fd, rootmode of a directory, user_id, group_id");
	if (fc->user_ns != &init_user_ns)
		return invalf(fc, "fuseref: only in the first user namespace");
	inputs = options->channels ? options->channels : num_online_cpus();
	if (options->transport != &fr_channels)
		inputs = 1;
	conn = fr_conn_new(options->transport, inputs);
	if (!conn)
		return -ENOMEM;
	sb->s_fs_info = conn;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = FR_SUPER_MAGIC;
	sb->s_op = &fr_super_operations;
	sb->s_d_op = &fr_dentry_operations;
	sb->s_xattr = fr_xattr_handlers;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_time_gran = 1;
	conn->sb = sb;
	conn->dev = sb->s_dev;
	conn->user_id = options->user_id;
	conn->group_id = options->group_id;
	conn->default_permissions = options->default_permissions;
	conn->allow_other = options->allow_other;
	conn->send_destroy = options->send_destroy;
	conn->busy_wait_ns = options->busy_us * NSEC_PER_USEC;
	conn->event_wait_ns = options->event_us * NSEC_PER_USEC;
	if (options->max_read)
		conn->max_read = max_t(unsigned int, options->max_read, PAGE_SIZE);
	err = super_setup_bdi(sb);
	if (err)
		return err;
	sb->s_bdi->ra_pages = VM_READAHEAD_PAGES;
	inode = fr_iget(sb, FR_ROOT_ID, &root, 0, 0);
	if (!inode)
		return -ENOMEM;
	fr_i(inode)->nlookup = 0;	/* nobody looked it up, nobody forgets it */
	sb->s_root = d_make_root(inode);
	if (!sb->s_root)
		return -ENOMEM;
	err = fr_dev_bind_fd(options->fd, conn);
	if (err)
		return err;
	fr_debug_add(conn);
	sb->s_flags |= SB_ACTIVE;
	return fr_send_init(conn);
}

static int fr_get_tree(struct fs_context *fc)
{
	return get_tree_nodev(fc, fr_fill_super);
}

static void fr_free_context(struct fs_context *fc)
{
	kfree(fc->fs_private);
}

static const struct fs_context_operations fr_context_operations = {
	.parse_param = fr_parse_param,
	.get_tree = fr_get_tree,
	.free = fr_free_context,
};

static int fr_init_context(struct fs_context *fc)
{
	struct fr_options *options = kzalloc(sizeof(*options), GFP_KERNEL);

	if (!options)
		return -ENOMEM;
	options->user_id = INVALID_UID;
	options->group_id = INVALID_GID;
	options->transport = &fr_classic;
	options->busy_us = 10;
	options->event_us = 5;
	fc->fs_private = options;
	fc->ops = &fr_context_operations;
	return 0;
}

static void fr_kill_super(struct super_block *sb)
{
	struct fr_conn *conn = sb->s_fs_info;

	if (conn) {
		debugfs_remove_recursive(conn->debug);
		if (conn->send_destroy && sb->s_root && READ_ONCE(conn->initialized)) {
			struct fr_args args = {
				.opcode = FUSE_DESTROY, .force = true, .no_creds = true,
			};

			fr_call(conn, &args);
		}
		fr_abort(conn);
		/* Callbacks of ended requests still use inodes and files. */
		wait_event(conn->drained, !atomic_read(&conn->waiting));
	}
	kill_anon_super(sb);
	if (conn)
		fr_conn_put(conn);
}

struct file_system_type fr_type = {
	.owner = THIS_MODULE,
	.name = "fuseref",
	.init_fs_context = fr_init_context,
	.parameters = fr_parameters,
	.kill_sb = fr_kill_super,
};
MODULE_ALIAS_FS("fuseref");

static void fr_inode_once(void *object)
{
	inode_init_once(&((struct fr_inode *)object)->inode);
}

int fr_inode_cache_init(void)
{
	fr_inode_cache = kmem_cache_create("fuseref_inode", sizeof(struct fr_inode), 0,
					   SLAB_HWCACHE_ALIGN | SLAB_ACCOUNT |
					   SLAB_RECLAIM_ACCOUNT, fr_inode_once);
	if (!fr_inode_cache)
		return -ENOMEM;
	fr_debug_root = debugfs_create_dir("fuseref", NULL);
	return 0;
}

void fr_inode_cache_exit(void)
{
	debugfs_remove_recursive(fr_debug_root);
	/* Inodes are freed after a grace period. */
	rcu_barrier();
	kmem_cache_destroy(fr_inode_cache);
}
