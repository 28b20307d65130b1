// SPDX-License-Identifier: GPL-2.0
/* Names, attributes and permissions. */
#include <linux/cred.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "fuseref.h"

#define FR_NAME_MAX 1024

void fr_set_entry_time(struct dentry *dentry, u64 until)
{
	BUILD_BUG_ON(sizeof(dentry->d_time) < sizeof(u64));
	dentry->d_time = until;
}

static bool fr_entry_expired(struct dentry *dentry)
{
	return time_before64((u64)dentry->d_time, get_jiffies_64());
}

void fr_advise_readdirplus(struct inode *dir)
{
	set_bit(FR_ADVISE_RDPLUS, &fr_i(dir)->flags);
}

bool fr_lock_dir(struct inode *dir)
{
	bool lock = !fr_conn_of(dir)->parallel_dirops;

	if (lock)
		mutex_lock(&fr_i(dir)->dir_lock);
	return lock;
}

void fr_unlock_dir(struct inode *dir, bool locked)
{
	if (locked)
		mutex_unlock(&fr_i(dir)->dir_lock);
}

/* Whose calls the daemon may see: it could hold up or watch anybody else. */
bool fr_allowed(struct fr_conn *conn)
{
	const struct cred *cred = current_cred();

	return conn->allow_other ||
	       (uid_eq(cred->uid, conn->user_id) && uid_eq(cred->euid, conn->user_id) &&
		uid_eq(cred->suid, conn->user_id) && gid_eq(cred->gid, conn->group_id) &&
		gid_eq(cred->egid, conn->group_id) && gid_eq(cred->sgid, conn->group_id));
}

static bool fr_sane_entry(const struct fuse_entry_out *out)
{
	return out->nodeid && out->nodeid != FR_ROOT_ID && fr_sane_attr(&out->attr);
}

static void fr_dir_changed(struct inode *dir)
{
	fr_mark_stale(dir, STATX_BASIC_STATS);
}

static ssize_t fr_call_lookup(struct inode *dir, const struct qstr *name,
			      struct fuse_entry_out *out)
{
	struct fr_args args = { .opcode = FUSE_LOOKUP, .nodeid = fr_i(dir)->nodeid };

	memset(out, 0, sizeof(*out));
	fr_in_name(&args, name);
	fr_out(&args, out, sizeof(*out));
	return fr_call(fr_conn_of(dir), &args);
}

/* Null for a name that the daemon says does not exist, for as long as it says. */
struct inode *fr_lookup_name(struct inode *dir, const struct qstr *name,
			     struct fuse_entry_out *out)
{
	struct fr_conn *conn = fr_conn_of(dir);
	struct fr_forget *forget;
	struct inode *inode = NULL;
	u64 version;
	ssize_t err;

	if (name->len > FR_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	forget = fr_forget_alloc();
	if (!forget)
		return ERR_PTR(-ENOMEM);
	version = fr_attr_version(conn);
	err = fr_call_lookup(dir, name, out);
	if (!err && out->nodeid) {
		if (!fr_sane_entry(out)) {
			err = -EIO;
		} else {
			inode = fr_iget(dir->i_sb, out->nodeid, &out->attr,
					fr_until(out->attr_valid, out->attr_valid_nsec),
					version);
			if (!inode) {
				fr_send_forget(conn, forget, out->nodeid, 1);
				return ERR_PTR(-ENOMEM);
			}
		}
	}
	kfree(forget);
	return err ? ERR_PTR(err) : inode;
}

static u64 fr_entry_until(const struct fuse_entry_out *out)
{
	return fr_until(out->entry_valid, out->entry_valid_nsec);
}

static struct dentry *fr_lookup(struct inode *dir, struct dentry *entry, unsigned int flags)
{
	struct fuse_entry_out out;
	struct dentry *other;
	struct inode *inode;
	bool locked, answered = true;

	locked = fr_lock_dir(dir);
	inode = fr_lookup_name(dir, &entry->d_name, &out);
	fr_unlock_dir(dir, locked);
	if (IS_ERR(inode)) {
		if (PTR_ERR(inode) != -ENOENT)
			return ERR_CAST(inode);
		inode = NULL;
		answered = false;
	}
	other = d_splice_alias(inode, entry);
	if (IS_ERR(other))
		return other;
	fr_set_entry_time(other ? other : entry, answered ? fr_entry_until(&out) : 0);
	if (inode)
		fr_advise_readdirplus(dir);
	return other;
}

static int fr_revalidate(struct dentry *entry, unsigned int flags)
{
	struct inode *inode = d_inode_rcu(entry);
	struct fuse_entry_out out;
	struct fr_forget *forget;
	struct fr_conn *conn;
	struct dentry *parent;
	struct fr_inode *fi;
	u64 version;
	ssize_t err;

	if (inode && is_bad_inode(inode))
		return 0;
	if (!fr_entry_expired(entry) &&
	    !(flags & (LOOKUP_EXCL | LOOKUP_REVAL | LOOKUP_RENAME_TARGET))) {
		if (!inode || !test_bit(FR_PRIMED_RDPLUS, &fr_i(inode)->flags))
			return 1;
		if (flags & LOOKUP_RCU)
			return -ECHILD;
		if (test_and_clear_bit(FR_PRIMED_RDPLUS, &fr_i(inode)->flags)) {
			parent = dget_parent(entry);
			fr_advise_readdirplus(d_inode(parent));
			dput(parent);
		}
		return 1;
	}
	if (!inode)
		return 0;	/* a lookup of its own is to follow */
	if (flags & LOOKUP_RCU)
		return -ECHILD;

	conn = fr_conn_of(inode);
	fi = fr_i(inode);
	forget = fr_forget_alloc();
	if (!forget)
		return -ENOMEM;
	version = fr_attr_version(conn);
	parent = dget_parent(entry);
	err = fr_call_lookup(d_inode(parent), &entry->d_name, &out);
	dput(parent);
	if (!err && !out.nodeid)
		err = -ENOENT;
	if (!err) {
		if (out.nodeid != fi->nodeid) {
			fr_send_forget(conn, forget, out.nodeid, 1);
			return 0;
		}
		spin_lock(&fi->lock);
		fi->nlookup++;
		spin_unlock(&fi->lock);
	}
	kfree(forget);
	if (err == -ENOMEM || err == -EINTR)
		return err;
	if (err || !fr_sane_attr(&out.attr) || inode_wrong_type(inode, out.attr.mode))
		return 0;
	fr_set_attributes(inode, &out.attr, fr_until(out.attr_valid, out.attr_valid_nsec), version);
	fr_set_entry_time(entry, fr_entry_until(&out));
	return 1;
}

const struct dentry_operations fr_dentry_operations = {
	.d_revalidate = fr_revalidate,
};

static ssize_t fr_do_getattr(struct inode *inode, struct file *file)
{
	struct fr_conn *conn = fr_conn_of(inode);
	struct fuse_getattr_in in = {};
	struct fuse_attr_out out = {};
	struct fr_args args = { .opcode = FUSE_GETATTR, .nodeid = fr_i(inode)->nodeid };
	u64 version = fr_attr_version(conn);
	ssize_t err;

	if (file && S_ISREG(inode->i_mode)) {
		struct fr_file *ff = file->private_data;

		in.getattr_flags |= FUSE_GETATTR_FH;
		in.fh = ff->fh;
	}
	fr_in(&args, &in, sizeof(in));
	fr_out(&args, &out, sizeof(out));
	err = fr_call(conn, &args);
	if (err)
		return err;
	if (!fr_sane_attr(&out.attr) || inode_wrong_type(inode, out.attr.mode)) {
		make_bad_inode(inode);
		return -EIO;
	}
	fr_set_attributes(inode, &out.attr, fr_until(out.attr_valid, out.attr_valid_nsec), version);
	return 0;
}

static bool fr_stale(struct inode *inode, u32 fields)
{
	struct fr_inode *fi = fr_i(inode);

	return (READ_ONCE(fi->stale) & fields) || time_before64(fi->attr_until, get_jiffies_64());
}

int fr_refresh(struct inode *inode, struct file *file, u32 fields)
{
	return fr_stale(inode, fields) ? fr_do_getattr(inode, file) : 0;
}

static int fr_getattr(struct user_namespace *ns, const struct path *path, struct kstat *stat,
		      u32 fields, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	int err = 0;

	if (!fr_allowed(fr_conn_of(inode)))
		return -EACCES;
	if (is_bad_inode(inode))
		return -EIO;
	if (flags & AT_STATX_FORCE_SYNC)
		err = fr_do_getattr(inode, NULL);
	else if (!(flags & AT_STATX_DONT_SYNC))
		err = fr_refresh(inode, NULL, fields);
	if (err)
		return err;
	generic_fillattr(&init_user_ns, inode, stat);
	stat->mode = fr_i(inode)->orig_mode | (inode->i_mode & S_IFMT);
	return 0;
}

static int fr_ask_access(struct inode *inode, int mask)
{
	struct fr_conn *conn = fr_conn_of(inode);
	struct fuse_access_in in = { .mask = mask & (MAY_READ | MAY_WRITE | MAY_EXEC) };
	struct fr_args args = { .opcode = FUSE_ACCESS, .nodeid = fr_i(inode)->nodeid };
	int err;

	if (conn->no_access)
		return 0;
	fr_in(&args, &in, sizeof(in));
	err = fr_call(conn, &args);
	if (err == -ENOSYS) {
		conn->no_access = true;
		err = 0;
	}
	return err;
}

static int fr_permission(struct user_namespace *ns, struct inode *inode, int mask)
{
	struct fr_conn *conn = fr_conn_of(inode);
	bool exec = (mask & MAY_EXEC) && S_ISREG(inode->i_mode);
	bool fresh = false;
	int err;

	if (is_bad_inode(inode))
		return -EIO;
	if (!fr_allowed(conn))
		return -EACCES;
	if ((conn->default_permissions || exec) &&
	    fr_stale(inode, STATX_MODE | STATX_UID | STATX_GID)) {
		if (mask & MAY_NOT_BLOCK)
			return -ECHILD;
		err = fr_do_getattr(inode, NULL);
		if (err)
			return err;
		fresh = true;
	}
again:
	if (conn->default_permissions) {
		err = generic_permission(&init_user_ns, inode, mask);
	} else if (mask & (MAY_ACCESS | MAY_CHDIR)) {
		if (mask & MAY_NOT_BLOCK)
			return -ECHILD;
		return fr_ask_access(inode, mask);
	} else {
		err = exec && !(inode->i_mode & 0111) ? -EACCES : 0;
	}
	if (err == -EACCES && !fresh) {
		if (mask & MAY_NOT_BLOCK)
			return -ECHILD;
		err = fr_do_getattr(inode, NULL);
		if (err)
			return err;
		fresh = true;
		goto again;
	}
	return err;
}

int fr_setattr_now(struct dentry *dentry, struct iattr *attr, struct file *file)
{
	struct inode *inode = d_inode(dentry);
	struct fr_conn *conn = fr_conn_of(inode);
	struct fr_inode *fi = fr_i(inode);
	struct fuse_setattr_in in = {};
	struct fuse_attr_out out = {};
	struct fr_args args = { .opcode = FUSE_SETATTR, .nodeid = fi->nodeid };
	unsigned int valid;
	bool truncates;
	int err;

	if (!conn->default_permissions)
		attr->ia_valid |= ATTR_FORCE;
	err = setattr_prepare(&init_user_ns, dentry, attr);
	if (err)
		return err;
	valid = attr->ia_valid;
	if (valid & ATTR_OPEN) {
		if (conn->atomic_o_trunc)
			return 0;	/* OPEN says it */
		file = NULL;
	}
	truncates = valid & ATTR_SIZE;
	if (valid & ATTR_MODE)
		in.valid |= FATTR_MODE, in.mode = attr->ia_mode;
	if (valid & ATTR_UID)
		in.valid |= FATTR_UID, in.uid = from_kuid(&init_user_ns, attr->ia_uid);
	if (valid & ATTR_GID)
		in.valid |= FATTR_GID, in.gid = from_kgid(&init_user_ns, attr->ia_gid);
	if (truncates)
		in.valid |= FATTR_SIZE, in.size = attr->ia_size;
	if (valid & ATTR_ATIME) {
		in.valid |= FATTR_ATIME;
		in.atime = attr->ia_atime.tv_sec;
		in.atimensec = attr->ia_atime.tv_nsec;
		if (!(valid & ATTR_ATIME_SET))
			in.valid |= FATTR_ATIME_NOW;
	}
	/* A truncation changes the time by itself. */
	if ((valid & ATTR_MTIME) && ((valid & ATTR_MTIME_SET) || !truncates)) {
		in.valid |= FATTR_MTIME;
		in.mtime = attr->ia_mtime.tv_sec;
		in.mtimensec = attr->ia_mtime.tv_nsec;
		if (!(valid & ATTR_MTIME_SET))
			in.valid |= FATTR_MTIME_NOW;
	}
	if (file) {
		struct fr_file *ff = file->private_data;

		in.valid |= FATTR_FH;
		in.fh = ff->fh;
	}
	if (truncates) {
		in.valid |= FATTR_LOCKOWNER;
		in.lock_owner = fr_lock_owner(conn, current->files);
		set_bit(FR_SIZE_UNSTABLE, &fi->flags);
	}
	fr_in(&args, &in, sizeof(in));
	fr_out(&args, &out, sizeof(out));
	err = fr_call(conn, &args);
	if (!err && (!fr_sane_attr(&out.attr) || inode_wrong_type(inode, out.attr.mode))) {
		make_bad_inode(inode);
		err = -EIO;
	}
	if (!err)
		fr_force_attributes(inode, &out.attr,
				    fr_until(out.attr_valid, out.attr_valid_nsec));
	if (truncates)
		clear_bit(FR_SIZE_UNSTABLE, &fi->flags);
	return err;
}

static int fr_setattr(struct user_namespace *ns, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	struct file *file = attr->ia_valid & ATTR_FILE ? attr->ia_file : NULL;

	if (is_bad_inode(inode))
		return -EIO;
	if (!fr_allowed(fr_conn_of(inode)))
		return -EACCES;
	/* HANDLE_KILLPRIV: the daemon drops the bits at chown, truncate and write. */
	if (attr->ia_valid & (ATTR_KILL_SUID | ATTR_KILL_SGID)) {
		attr->ia_valid &= ~(ATTR_KILL_SUID | ATTR_KILL_SGID | ATTR_MODE);
		if (!(attr->ia_valid & ~ATTR_FORCE & ~ATTR_CTIME))
			return 0;
	}
	if (!attr->ia_valid)
		return 0;
	return fr_setattr_now(dentry, attr, file);
}

/* Sends what makes a file and takes the new one in. */
static int fr_make(struct fr_args *args, struct inode *dir, struct dentry *entry, umode_t type)
{
	struct fr_conn *conn = fr_conn_of(dir);
	struct fuse_entry_out out = {};
	struct fr_forget *forget;
	struct dentry *other;
	struct inode *inode;
	int err;

	forget = fr_forget_alloc();
	if (!forget)
		return -ENOMEM;
	args->nodeid = fr_i(dir)->nodeid;
	fr_out(args, &out, sizeof(out));
	err = fr_call(conn, args);
	if (err)
		goto out;
	err = -EIO;
	if (!fr_sane_entry(&out) || ((out.attr.mode ^ type) & S_IFMT))
		goto out;
	inode = fr_iget(dir->i_sb, out.nodeid, &out.attr,
			fr_until(out.attr_valid, out.attr_valid_nsec), 0);
	if (!inode) {
		fr_send_forget(conn, forget, out.nodeid, 1);
		return -ENOMEM;
	}
	kfree(forget);
	d_drop(entry);
	other = d_splice_alias(inode, entry);
	if (IS_ERR(other))
		return PTR_ERR(other);
	fr_set_entry_time(other ? other : entry, fr_entry_until(&out));
	dput(other);
	fr_dir_changed(dir);
	return 0;
out:
	kfree(forget);
	return err;
}

static int fr_mknod(struct user_namespace *ns, struct inode *dir, struct dentry *entry,
		    umode_t mode, dev_t rdev)
{
	struct fuse_mknod_in in = {
		.mode = mode & ~current_umask(),
		.rdev = new_encode_dev(rdev),
		.umask = current_umask(),
	};
	struct fr_args args = { .opcode = FUSE_MKNOD };

	fr_in(&args, &in, sizeof(in));
	fr_in_name(&args, &entry->d_name);
	return fr_make(&args, dir, entry, mode);
}

static int fr_create(struct user_namespace *ns, struct inode *dir, struct dentry *entry,
		     umode_t mode, bool exclusive)
{
	return fr_mknod(ns, dir, entry, mode, 0);
}

static int fr_mkdir(struct user_namespace *ns, struct inode *dir, struct dentry *entry,
		    umode_t mode)
{
	struct fuse_mkdir_in in = { .mode = mode & ~current_umask(), .umask = current_umask() };
	struct fr_args args = { .opcode = FUSE_MKDIR };

	fr_in(&args, &in, sizeof(in));
	fr_in_name(&args, &entry->d_name);
	return fr_make(&args, dir, entry, S_IFDIR);
}

static int fr_symlink(struct user_namespace *ns, struct inode *dir, struct dentry *entry,
		      const char *target)
{
	struct fr_args args = { .opcode = FUSE_SYMLINK };

	fr_in_name(&args, &entry->d_name);
	fr_in(&args, target, strlen(target) + 1);
	return fr_make(&args, dir, entry, S_IFLNK);
}

static int fr_link(struct dentry *from, struct inode *dir, struct dentry *entry)
{
	struct inode *inode = d_inode(from);
	struct fuse_link_in in = { .oldnodeid = fr_i(inode)->nodeid };
	struct fr_args args = { .opcode = FUSE_LINK };
	int err;

	fr_in(&args, &in, sizeof(in));
	fr_in_name(&args, &entry->d_name);
	err = fr_make(&args, dir, entry, inode->i_mode);
	if (err == -EINTR)
		fr_mark_stale(inode, STATX_BASIC_STATS);	/* nobody knows */
	return err;
}

static void fr_unlinked(struct dentry *entry)
{
	struct inode *inode = d_inode(entry);
	struct fr_inode *fi = fr_i(inode);

	spin_lock(&fi->lock);
	fi->attr_version = atomic64_inc_return(&fr_conn_of(inode)->attr_version);
	/* The daemon may have counted names of which this kernel knows nothing. */
	if (S_ISDIR(inode->i_mode))
		clear_nlink(inode);
	else if (inode->i_nlink > 0)
		drop_nlink(inode);
	spin_unlock(&fi->lock);
	fr_set_entry_time(entry, 0);
	fr_mark_stale(inode, STATX_CTIME);
}

static int fr_remove(struct inode *dir, struct dentry *entry, u32 opcode)
{
	struct fr_args args = { .opcode = opcode, .nodeid = fr_i(dir)->nodeid };
	int err;

	fr_in_name(&args, &entry->d_name);
	err = fr_call(fr_conn_of(dir), &args);
	if (!err) {
		fr_dir_changed(dir);
		fr_unlinked(entry);
	} else if (err == -EINTR) {
		fr_set_entry_time(entry, 0);	/* nobody knows */
	}
	return err;
}

static int fr_unlink(struct inode *dir, struct dentry *entry)
{
	return fr_remove(dir, entry, FUSE_UNLINK);
}

static int fr_rmdir(struct inode *dir, struct dentry *entry)
{
	return fr_remove(dir, entry, FUSE_RMDIR);
}

static int fr_rename(struct user_namespace *ns, struct inode *from_dir, struct dentry *from,
		     struct inode *to_dir, struct dentry *to, unsigned int flags)
{
	struct fr_conn *conn = fr_conn_of(from_dir);
	struct fuse_rename2_in in2 = { .newdir = fr_i(to_dir)->nodeid, .flags = flags };
	struct fuse_rename_in in = { .newdir = in2.newdir };
	struct fr_args args = { .nodeid = fr_i(from_dir)->nodeid };
	int err;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if (flags) {
		if (conn->no_rename2)
			return -EINVAL;
		args.opcode = FUSE_RENAME2;
		fr_in(&args, &in2, sizeof(in2));
	} else {
		args.opcode = FUSE_RENAME;
		fr_in(&args, &in, sizeof(in));
	}
	fr_in_name(&args, &from->d_name);
	fr_in_name(&args, &to->d_name);
	err = fr_call(conn, &args);
	if (!err) {
		fr_mark_stale(d_inode(from), STATX_CTIME);
		if (flags & RENAME_EXCHANGE)
			fr_mark_stale(d_inode(to), STATX_CTIME);
		fr_dir_changed(from_dir);
		if (from_dir != to_dir)
			fr_dir_changed(to_dir);
		if (!(flags & RENAME_EXCHANGE) && d_really_is_positive(to))
			fr_unlinked(to);
	} else if (flags && err == -ENOSYS) {
		conn->no_rename2 = true;
		err = -EINVAL;
	} else if (err == -EINTR) {
		fr_set_entry_time(from, 0);
		fr_set_entry_time(to, 0);
	}
	return err;
}

static int fr_create_open(struct inode *dir, struct dentry *entry, struct file *file,
			  unsigned int flags, umode_t mode)
{
	struct fr_conn *conn = fr_conn_of(dir);
	struct fuse_create_in in = {
		.flags = flags & ~O_NOCTTY,
		.mode = mode & ~current_umask(),
		.umask = current_umask(),
	};
	struct fuse_entry_out made = {};
	struct fuse_open_out opened = {};
	struct fr_args args = { .opcode = FUSE_CREATE, .nodeid = fr_i(dir)->nodeid };
	struct fr_forget *forget;
	struct inode *inode;
	struct fr_file *ff;
	int err = -ENOMEM;

	forget = fr_forget_alloc();
	if (!forget)
		return err;
	ff = fr_file_alloc(conn);
	if (!ff)
		goto no_file;
	fr_in(&args, &in, sizeof(in));
	fr_in_name(&args, &entry->d_name);
	fr_out(&args, &made, sizeof(made));
	fr_out(&args, &opened, sizeof(opened));
	err = fr_call(conn, &args);
	if (err)
		goto fail;
	err = -EIO;
	if (!fr_sane_entry(&made) || !S_ISREG(made.attr.mode))
		goto fail;
	ff->fh = opened.fh;
	ff->open_flags = opened.open_flags;
	ff->nodeid = made.nodeid;
	ff->opened = true;
	inode = fr_iget(dir->i_sb, made.nodeid, &made.attr,
			fr_until(made.attr_valid, made.attr_valid_nsec), 0);
	if (!inode) {
		fr_release_common(ff, NULL, flags, false);
		fr_send_forget(conn, forget, made.nodeid, 1);
		return -ENOMEM;
	}
	kfree(forget);
	d_instantiate(entry, inode);
	fr_set_entry_time(entry, fr_entry_until(&made));
	fr_dir_changed(dir);
	err = finish_open(file, entry, generic_file_open);
	if (err) {
		fr_release_common(ff, inode, flags, false);
	} else {
		file->private_data = ff;
		fr_finish_open(inode, file);
	}
	return err;
fail:
	fr_file_free(ff);
no_file:
	kfree(forget);
	return err;
}

static int fr_atomic_open(struct inode *dir, struct dentry *entry, struct file *file,
			  unsigned int flags, umode_t mode)
{
	struct fr_conn *conn = fr_conn_of(dir);
	struct dentry *found = NULL;
	int err;

	if (d_in_lookup(entry)) {
		found = fr_lookup(dir, entry, 0);
		if (IS_ERR(found))
			return PTR_ERR(found);
		if (found)
			entry = found;
	}
	if (!(flags & O_CREAT) || d_really_is_positive(entry))
		return finish_no_open(file, found);
	file->f_mode |= FMODE_CREATED;
	if (!conn->no_create) {
		err = fr_create_open(dir, entry, file, flags, mode);
		if (err != -ENOSYS)
			goto out;
		conn->no_create = true;
	}
	err = fr_mknod(&init_user_ns, dir, entry, mode, 0);
	if (!err)
		return finish_no_open(file, found);
out:
	dput(found);
	return err;
}

static const char *fr_get_link(struct dentry *dentry, struct inode *inode,
			       struct delayed_call *done)
{
	struct fr_args args = {
		.opcode = FUSE_READLINK,
		.nodeid = fr_i(inode)->nodeid,
		.variable = true,
		.nr_out = 1,
		.out[0].size = PAGE_SIZE - 1,
	};
	struct page *page;
	ssize_t got;

	if (!dentry)
		return ERR_PTR(-ECHILD);
	page = alloc_page(GFP_KERNEL);
	if (!page)
		return ERR_PTR(-ENOMEM);
	args.out[0].data = page_address(page);
	got = fr_call(fr_conn_of(inode), &args);
	if (got < 0) {
		put_page(page);
		return ERR_PTR(got);
	}
	((char *)page_address(page))[got] = 0;
	fr_mark_stale(inode, STATX_ATIME);
	set_delayed_call(done, page_put_link, page);
	return page_address(page);
}

static int fr_dir_open(struct inode *inode, struct file *file)
{
	return fr_open_common(inode, file, true);
}

static int fr_dir_release(struct inode *inode, struct file *file)
{
	fr_release_common(file->private_data, inode, file->f_flags, true);
	return 0;
}

static int fr_dir_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file_inode(file);
	int err;

	inode_lock(inode);
	err = fr_fsync_common(file, datasync, FUSE_FSYNCDIR, &fr_conn_of(inode)->no_fsyncdir);
	inode_unlock(inode);
	return err;
}

static const struct inode_operations fr_dir_inode_operations = {
	.lookup = fr_lookup,
	.atomic_open = fr_atomic_open,
	.create = fr_create,
	.mknod = fr_mknod,
	.mkdir = fr_mkdir,
	.symlink = fr_symlink,
	.link = fr_link,
	.unlink = fr_unlink,
	.rmdir = fr_rmdir,
	.rename = fr_rename,
	.setattr = fr_setattr,
	.getattr = fr_getattr,
	.permission = fr_permission,
	.listxattr = fr_listxattr,
};

static const struct file_operations fr_dir_operations = {
	.llseek = generic_file_llseek,
	.read = generic_read_dir,
	.iterate_shared = fr_readdir,
	.open = fr_dir_open,
	.release = fr_dir_release,
	.fsync = fr_dir_fsync,
};

const struct inode_operations fr_file_inode_operations = {
	.setattr = fr_setattr,
	.getattr = fr_getattr,
	.permission = fr_permission,
	.listxattr = fr_listxattr,
};

static const struct inode_operations fr_symlink_operations = {
	.get_link = fr_get_link,
	.setattr = fr_setattr,
	.getattr = fr_getattr,
	.listxattr = fr_listxattr,
};

void fr_init_dir(struct inode *inode)
{
	inode->i_op = &fr_dir_inode_operations;
	inode->i_fop = &fr_dir_operations;
}

void fr_init_symlink(struct inode *inode)
{
	inode->i_op = &fr_symlink_operations;
}

void fr_init_special(struct inode *inode)
{
	inode->i_op = &fr_file_inode_operations;
}
