// SPDX-License-Identifier: GPL-2.0
/* READDIR and READDIRPLUS: one page a request. */
#include <linux/dcache.h>
#include <linux/highmem.h>
#include <linux/slab.h>

#include "fuseref.h"

static bool fr_use_plus(struct inode *dir, struct dir_context *ctx)
{
	struct fr_conn *conn = fr_conn_of(dir);

	if (!conn->readdirplus)
		return false;
	if (!conn->readdirplus_auto)
		return true;
	return test_and_clear_bit(FR_ADVISE_RDPLUS, &fr_i(dir)->flags) || ctx->pos == 0;
}

static bool fr_sane_dirent(const struct fuse_dirent *entry)
{
	return entry->namelen && entry->namelen <= 1024 &&
	       !memchr(entry->name, '/', entry->namelen);
}

/* Takes an entry of READDIRPLUS into the caches; the lookup it counts as is used up. */
static int fr_prime(struct file *file, const struct fuse_direntplus *plus, u64 version)
{
	const struct fuse_entry_out *out = &plus->entry_out;
	const struct fuse_dirent *entry = &plus->dirent;
	struct qstr name = QSTR_INIT(entry->name, entry->namelen);
	struct dentry *parent = file->f_path.dentry;
	struct inode *dir = d_inode(parent), *inode;
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(wq);
	u64 valid = fr_until(out->attr_valid, out->attr_valid_nsec);
	struct dentry *dentry, *alias;

	if (!out->nodeid)
		return 0;
	if (name.name[0] == '.' && (name.len == 1 || (name.name[1] == '.' && name.len == 2)))
		return 0;
	if (out->nodeid == FR_ROOT_ID || !fr_sane_attr(&out->attr))
		return -EIO;
	name.hash = full_name_hash(parent, name.name, name.len);
	dentry = d_lookup(parent, &name);
	if (!dentry) {
retry:
		dentry = d_alloc_parallel(parent, &name, &wq);
		if (IS_ERR(dentry))
			return PTR_ERR(dentry);
	}
	if (!d_in_lookup(dentry)) {
		inode = d_inode(dentry);
		if (inode && fr_i(inode)->nodeid != out->nodeid)
			inode = NULL;
		if (!inode || inode_wrong_type(inode, out->attr.mode)) {
			d_invalidate(dentry);
			dput(dentry);
			goto retry;
		}
		if (is_bad_inode(inode)) {
			dput(dentry);
			return -EIO;
		}
		spin_lock(&fr_i(inode)->lock);
		fr_i(inode)->nlookup++;
		spin_unlock(&fr_i(inode)->lock);
		fr_set_attributes(inode, &out->attr, valid, version);
	} else {
		inode = fr_iget(dir->i_sb, out->nodeid, &out->attr, valid, version);
		if (!inode)
			inode = ERR_PTR(-ENOMEM);
		alias = d_splice_alias(inode, dentry);
		d_lookup_done(dentry);
		if (alias) {
			dput(dentry);
			dentry = alias;
		}
		if (IS_ERR(dentry))
			return PTR_ERR(dentry) == -ENOMEM ? -ENOMEM : 0;
	}
	if (fr_conn_of(dir)->readdirplus_auto)
		set_bit(FR_PRIMED_RDPLUS, &fr_i(inode)->flags);
	fr_set_entry_time(dentry, fr_until(out->entry_valid, out->entry_valid_nsec));
	dput(dentry);
	return 0;
}

static void fr_forget_one(struct inode *dir, u64 nodeid)
{
	struct fr_forget *forget = kzalloc(sizeof(*forget), GFP_KERNEL | __GFP_NOFAIL);

	fr_send_forget(fr_conn_of(dir), forget, nodeid, 1);
}

static int fr_emit_entries(struct file *file, struct dir_context *ctx, char *data, size_t left)
{
	while (left >= FUSE_NAME_OFFSET) {
		struct fuse_dirent *entry = (struct fuse_dirent *)data;
		size_t size = FUSE_DIRENT_SIZE(entry);

		if (size > left)
			break;
		if (!fr_sane_dirent(entry))
			return -EIO;
		if (!dir_emit(ctx, entry->name, entry->namelen, entry->ino, entry->type))
			break;
		ctx->pos = entry->off;
		data += size;
		left -= size;
	}
	return 0;
}

static int fr_emit_plus(struct file *file, struct dir_context *ctx, char *data, size_t left,
			u64 version)
{
	bool full = false;

	while (left >= FUSE_NAME_OFFSET_DIRENTPLUS) {
		struct fuse_direntplus *plus = (struct fuse_direntplus *)data;
		size_t size = FUSE_DIRENTPLUS_SIZE(plus);

		if (size > left)
			break;
		if (!fr_sane_dirent(&plus->dirent))
			return -EIO;
		if (!full) {
			full = !dir_emit(ctx, plus->dirent.name, plus->dirent.namelen,
					 plus->dirent.ino, plus->dirent.type);
			if (!full)
				ctx->pos = plus->dirent.off;
		}
		data += size;
		left -= size;
		/* Also those that were not wanted: the daemon has counted lookups. */
		if (fr_prime(file, plus, version) && plus->entry_out.nodeid)
			fr_forget_one(file_inode(file), plus->entry_out.nodeid);
	}
	return 0;
}

int fr_readdir(struct file *file, struct dir_context *ctx)
{
	struct inode *dir = file_inode(file);
	struct fr_conn *conn = fr_conn_of(dir);
	struct fr_file *ff = file->private_data;
	struct fuse_read_in in = {
		.fh = ff->fh,
		.offset = ctx->pos,
		.size = PAGE_SIZE,
		.flags = file->f_flags,
	};
	struct fr_args args = {
		.nodeid = fr_i(dir)->nodeid,
		.variable = true,
		.nr_out = 1,
		.out[0].size = PAGE_SIZE,
	};
	struct page *page;
	u64 version = 0;
	ssize_t got;
	bool plus, locked;
	int err = 0;

	if (is_bad_inode(dir))
		return -EIO;
	page = alloc_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	args.out[0].data = page_address(page);
	locked = fr_lock_dir(dir);
	plus = fr_use_plus(dir, ctx);
	if (plus) {
		version = fr_attr_version(conn);
		args.opcode = FUSE_READDIRPLUS;
	} else {
		args.opcode = FUSE_READDIR;
	}
	fr_in(&args, &in, sizeof(in));
	got = fr_call(conn, &args);
	fr_unlock_dir(dir, locked);
	if (got > 0 && plus)
		err = fr_emit_plus(file, ctx, page_address(page), got, version);
	else if (got > 0)
		err = fr_emit_entries(file, ctx, page_address(page), got);
	__free_page(page);
	fr_mark_stale(dir, STATX_ATIME);
	return got < 0 ? got : err;
}
