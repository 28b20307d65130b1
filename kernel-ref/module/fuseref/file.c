// SPDX-License-Identifier: GPL-2.0
/* Open files: page cache, writes through it, direct I/O, and closing. */

#include <linux/hash.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/writeback.h>
#include <linux/falloc.h>

#include "fuseref.h"

struct fr_file *fr_file_alloc(struct fr_conn *conn)
{
	struct fr_file *ff = kzalloc(sizeof(*ff), GFP_KERNEL_ACCOUNT);

	if (ff) {
		refcount_set(&ff->refs, 1);
		ff->conn = conn;
	}
	return ff;
}

void fr_file_free(struct fr_file *ff)
{
	kfree(ff);
}

static void fr_release_done(struct fr_conn *conn, struct fr_args *args, int error)
{
	struct fr_file *ff = container_of(args, struct fr_file, release);

	iput(ff->inode);
	fr_file_free(ff);
}

/* RELEASE follows the last read that is under way. */
void fr_file_put(struct fr_file *ff)
{
	if (!refcount_dec_and_test(&ff->refs))
		return;
	if (!ff->opened || fr_call_background(ff->conn, &ff->release))
		fr_release_done(ff->conn, &ff->release, 0);
}

/* Nobody would learn of an error, so nobody waits. */
void fr_release_common(struct fr_file *ff, struct inode *inode, unsigned int flags, bool dir)
{
	ff->release_in.fh = ff->fh;
	ff->release_in.flags = flags;
	ff->release.opcode = dir ? FUSE_RELEASEDIR : FUSE_RELEASE;
	ff->release.nodeid = ff->nodeid;
	ff->release.force = true;
	ff->release.no_creds = true;
	ff->release.done = fr_release_done;
	fr_in(&ff->release, &ff->release_in, sizeof(ff->release_in));
	/* The daemon must not hear FORGET before RELEASE. */
	ff->inode = inode ? igrab(inode) : NULL;
	fr_file_put(ff);
}

int fr_open_common(struct inode *inode, struct file *file, bool dir)
{
	struct fr_conn *conn = fr_conn_of(inode);
	bool *unsupported = dir ? &conn->no_opendir : &conn->no_open;
	struct fuse_open_in in = { .flags = file->f_flags & ~(O_CREAT | O_EXCL | O_NOCTTY) };
	struct fuse_open_out out = {};
	struct fr_args args = {
		.opcode = dir ? FUSE_OPENDIR : FUSE_OPEN,
		.nodeid = fr_i(inode)->nodeid,
	};
	struct fr_file *ff;
	int err;

	if (is_bad_inode(inode))
		return -EIO;
	err = generic_file_open(inode, file);
	if (err)
		return err;
	ff = fr_file_alloc(conn);
	if (!ff)
		return -ENOMEM;
	ff->nodeid = args.nodeid;
	ff->open_flags = FOPEN_KEEP_CACHE;
	if (!READ_ONCE(*unsupported)) {
		if (!conn->atomic_o_trunc)
			in.flags &= ~O_TRUNC;
		fr_in(&args, &in, sizeof(in));
		fr_out(&args, &out, sizeof(out));
		err = fr_call(conn, &args);
		if (!err) {
			ff->fh = out.fh;
			ff->open_flags = out.open_flags;
			ff->opened = true;
		} else if (err != -ENOSYS) {
			fr_file_free(ff);
			return err;
		} else {
			WRITE_ONCE(*unsupported, true);
		}
	}
	if (dir)
		ff->open_flags &= ~FOPEN_DIRECT_IO;
	file->private_data = ff;
	return 0;
}

void fr_finish_open(struct inode *inode, struct file *file)
{
	struct fr_file *ff = file->private_data;
	struct fr_conn *conn = ff->conn;
	struct fr_inode *fi = fr_i(inode);

	if (conn->atomic_o_trunc && (file->f_flags & O_TRUNC)) {
		spin_lock(&fi->lock);
		fi->attr_version = atomic64_inc_return(&conn->attr_version);
		i_size_write(inode, 0);
		spin_unlock(&fi->lock);
		truncate_pagecache(inode, 0);
		fr_mark_stale(inode, FR_STALE_MODIFIED | STATX_SIZE);
	} else if (!(ff->open_flags & FOPEN_KEEP_CACHE)) {
		invalidate_inode_pages2(inode->i_mapping);
	}
	if (ff->open_flags & FOPEN_NONSEEKABLE)
		nonseekable_open(inode, file);
}

static int fr_open(struct inode *inode, struct file *file)
{
	int err = fr_open_common(inode, file, false);

	if (!err)
		fr_finish_open(inode, file);
	return err;
}

static int fr_release(struct inode *inode, struct file *file)
{
	fr_release_common(file->private_data, inode, file->f_flags, false);
	return 0;
}

/*
 * The owner is a kernel address, and no daemon's business: XTEA hides it, with
 * a key of the mount. That is most of what a direct read costs before its request.
 */
u64 fr_lock_owner(struct fr_conn *conn, fl_owner_t id)
{
	u64 value = (unsigned long)id;
	u32 left = value, right = value >> 32, sum = 0;
	unsigned int cycle;

	for (cycle = 0; cycle < 32; cycle++) {
		left += (((right << 4) ^ (right >> 5)) + right) ^
			(sum + conn->owner_key[sum & 3]);
		sum += 0x9e3779b9;
		right += (((left << 4) ^ (left >> 5)) + left) ^
			 (sum + conn->owner_key[(sum >> 11) & 3]);
	}
	return left | (u64)right << 32;
}

static int fr_flush(struct file *file, fl_owner_t id)
{
	struct inode *inode = file_inode(file);
	struct fr_file *ff = file->private_data;
	struct fr_conn *conn = ff->conn;
	struct fuse_flush_in in = { .fh = ff->fh, .lock_owner = fr_lock_owner(conn, id) };
	struct fr_args args = {
		.opcode = FUSE_FLUSH,
		.nodeid = fr_i(inode)->nodeid,
		.force = true,
	};
	int err;

	if (is_bad_inode(inode))
		return -EIO;
	if (ff->open_flags & FOPEN_NOFLUSH)
		return 0;
	/* Writes go through, so nothing is dirty; an earlier error may be told. */
	err = filemap_check_errors(file->f_mapping);
	if (err || conn->no_flush)
		return err;
	fr_in(&args, &in, sizeof(in));
	err = fr_call(conn, &args);
	if (err == -ENOSYS) {
		conn->no_flush = true;
		err = 0;
	}
	return err;
}

int fr_fsync_common(struct file *file, int datasync, u32 opcode, bool *unsupported)
{
	struct inode *inode = file_inode(file);
	struct fr_file *ff = file->private_data;
	struct fuse_fsync_in in = {
		.fh = ff->fh,
		.fsync_flags = datasync ? FUSE_FSYNC_FDATASYNC : 0,
	};
	struct fr_args args = { .opcode = opcode, .nodeid = fr_i(inode)->nodeid };
	int err;

	if (is_bad_inode(inode))
		return -EIO;
	if (READ_ONCE(*unsupported))
		return 0;
	fr_in(&args, &in, sizeof(in));
	err = fr_call(ff->conn, &args);
	if (err == -ENOSYS) {
		WRITE_ONCE(*unsupported, true);
		err = 0;
	}
	return err;
}

static int fr_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file_inode(file);
	int err;

	inode_lock(inode);
	err = file_write_and_wait_range(file, start, end);
	if (!err)
		err = fr_fsync_common(file, datasync, FUSE_FSYNC, &fr_conn_of(inode)->no_fsync);
	inode_unlock(inode);
	return err;
}

/* A READ or WRITE of pages. */
struct fr_io {
	struct fr_args args;
	union {
		struct fuse_read_in read;
		struct fuse_write_in write;
	};
	struct fuse_write_out written;
	struct fr_file *ff;
	struct inode *inode;
	u64 version;
	struct bio_vec vecs[];
};

static struct fr_io *fr_io_new(struct file *file, unsigned int vecs)
{
	struct fr_io *io = kzalloc(struct_size(io, vecs, vecs), GFP_KERNEL);

	if (io) {
		io->ff = file->private_data;
		io->inode = file_inode(file);
		io->args.nodeid = fr_i(io->inode)->nodeid;
		io->args.vecs = io->vecs;
	}
	return io;
}

static void fr_io_add(struct fr_io *io, struct page *page, unsigned int size, unsigned int offset)
{
	io->vecs[io->args.nr_vecs++] = (struct bio_vec){ page, size, offset };
	io->args.data_size += size;
}

static void fr_fill_read(struct fr_io *io, struct file *file, loff_t pos)
{
	struct fr_args *args = &io->args;

	io->read.fh = io->ff->fh;
	io->read.offset = pos;
	io->read.size = args->data_size;
	io->read.flags = file->f_flags;
	args->opcode = FUSE_READ;
	args->data_out = true;
	args->variable = true;
	fr_in(args, &io->read, sizeof(io->read));
}

static void fr_fill_write(struct fr_io *io, struct kiocb *iocb, loff_t pos)
{
	struct fr_args *args = &io->args;

	io->write.fh = io->ff->fh;
	io->write.offset = pos;
	io->write.size = args->data_size;
	io->write.flags = iocb->ki_filp->f_flags;
	if (iocb_is_dsync(iocb))
		io->write.flags |= O_DSYNC;
	if (iocb->ki_flags & IOCB_SYNC)
		io->write.flags |= O_SYNC;
	args->opcode = FUSE_WRITE;
	args->data_in = true;
	fr_in(args, &io->write, sizeof(io->write));
	fr_out(args, &io->written, sizeof(io->written));
}

static void fr_read_finish(struct fr_io *io, int error)
{
	struct fr_args *args = &io->args;
	struct inode *inode = io->inode;
	struct fr_inode *fi = fr_i(inode);
	loff_t end = io->read.offset + args->got;
	unsigned int i;

	/* Fewer bytes than asked for: that is where the file ends now. */
	if (!error && args->got < args->data_size) {
		spin_lock(&fi->lock);
		if (fi->attr_version == io->version && end < inode->i_size &&
		    !test_bit(FR_SIZE_UNSTABLE, &fi->flags)) {
			fi->attr_version = atomic64_inc_return(&fr_conn_of(inode)->attr_version);
			i_size_write(inode, end);
		}
		spin_unlock(&fi->lock);
	}
	if (!IS_RDONLY(inode))
		fr_mark_stale(inode, STATX_ATIME);
	for (i = 0; i < args->nr_vecs; i++) {
		struct page *page = io->vecs[i].bv_page;

		if (error)
			SetPageError(page);
		else
			SetPageUptodate(page);
		unlock_page(page);
		put_page(page);
	}
}

static void fr_readahead_done(struct fr_conn *conn, struct fr_args *args, int error)
{
	struct fr_io *io = container_of(args, struct fr_io, args);

	fr_read_finish(io, error);
	fr_file_put(io->ff);
	kfree(io);
}

static void fr_readahead(struct readahead_control *rac)
{
	struct fr_conn *conn = fr_conn_of(rac->mapping->host);
	unsigned int most = min(conn->max_pages, conn->max_read / (unsigned int)PAGE_SIZE);
	/* readahead_count() lags behind by the page that was taken last. */
	unsigned int left = readahead_count(rac);

	if (is_bad_inode(rac->mapping->host))
		return;
	while (left) {
		unsigned int pages = min(left, most);
		struct fr_io *io;
		loff_t pos;
		int err;

		/* Nobody waits for what is left: better later than in the way. */
		if (fr_congested(conn) && rac->ra->async_size >= left)
			break;
		io = fr_io_new(rac->file, pages);
		if (!io)
			break;
		while (io->args.nr_vecs < pages)
			fr_io_add(io, readahead_page(rac), PAGE_SIZE, 0);
		left -= pages;
		pos = page_offset(io->vecs[0].bv_page);
		fr_fill_read(io, rac->file, pos);
		io->args.zero_rest = true;
		io->version = fr_attr_version(conn);
		refcount_inc(&io->ff->refs);
		if (conn->async_read) {
			io->args.done = fr_readahead_done;
			err = fr_call_background(conn, &io->args);
			if (err)
				fr_readahead_done(conn, &io->args, err);
		} else {
			err = fr_call(conn, &io->args);
			fr_readahead_done(conn, &io->args, min(err, 0));
		}
	}
}

static int fr_read_folio(struct file *file, struct folio *folio)
{
	struct fr_conn *conn = fr_conn_of(folio->mapping->host);
	struct page *page = &folio->page;
	struct fr_io *io;
	ssize_t got;

	io = is_bad_inode(folio->mapping->host) ? NULL : fr_io_new(file, 1);
	if (!io) {
		unlock_page(page);
		return -EIO;
	}
	get_page(page);	/* fr_read_finish() puts one, as of readahead */
	fr_io_add(io, page, PAGE_SIZE, 0);
	fr_fill_read(io, file, page_offset(page));
	io->args.zero_rest = true;
	io->version = fr_attr_version(conn);
	got = fr_call(conn, &io->args);
	fr_read_finish(io, min_t(ssize_t, got, 0));
	kfree(io);
	return min_t(ssize_t, got, 0);
}

static void fr_written(struct inode *inode, loff_t end)
{
	struct fr_inode *fi = fr_i(inode);

	spin_lock(&fi->lock);
	fi->attr_version = atomic64_inc_return(&fr_conn_of(inode)->attr_version);
	if (end > inode->i_size)
		i_size_write(inode, end);
	spin_unlock(&fi->lock);
	fr_mark_stale(inode, FR_STALE_MODIFIED | STATX_SIZE);
}

/*
 * Takes pages of one WRITE from the caller. A page of which only a part is known
 * stays locked, so that nobody reads the rest, and ends the gathering.
 */
static ssize_t fr_gather(struct fr_io *io, struct address_space *mapping, struct iov_iter *from,
			 loff_t pos, unsigned int max_pages, unsigned int max_write, bool *locked)
{
	size_t count = 0;

	*locked = false;
	while (iov_iter_count(from) && count < max_write && io->args.nr_vecs < max_pages) {
		unsigned int offset = offset_in_page(pos + count);
		size_t size = min3(PAGE_SIZE - offset, iov_iter_count(from), max_write - count);
		struct page *page;
		size_t copied;
retry:
		if (fault_in_iov_iter_readable(from, size))
			return count ? count : -EFAULT;
		page = grab_cache_page_write_begin(mapping, (pos + count) >> PAGE_SHIFT);
		if (!page)
			return count ? count : -ENOMEM;
		if (mapping_writably_mapped(mapping))
			flush_dcache_page(page);
		copied = copy_page_from_iter_atomic(page, offset, size, from);
		flush_dcache_page(page);
		if (!copied) {
			unlock_page(page);
			put_page(page);
			size = min(size, iov_iter_single_seg_count(from));
			goto retry;
		}
		fr_io_add(io, page, copied, offset);
		count += copied;
		if (copied == PAGE_SIZE)
			SetPageUptodate(page);
		if (!PageUptodate(page)) {
			*locked = true;
			break;
		}
		unlock_page(page);
		if (offset + copied < PAGE_SIZE)
			break;
	}
	return count;
}

static ssize_t fr_write_pages(struct kiocb *iocb, struct iov_iter *from, loff_t pos)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct fr_conn *conn = fr_conn_of(inode);
	unsigned int pages = min_t(size_t, conn->max_pages,
				   DIV_ROUND_UP(offset_in_page(pos) + iov_iter_count(from),
						PAGE_SIZE));
	struct fr_io *io = fr_io_new(iocb->ki_filp, pages);
	ssize_t count, done;
	bool locked;
	unsigned int i;

	if (!io)
		return -ENOMEM;
	count = fr_gather(io, inode->i_mapping, from, pos, pages, conn->max_write, &locked);
	if (count < 0) {
		kfree(io);
		return count;
	}
	fr_fill_write(io, iocb, pos);
	done = fr_call(conn, &io->args);
	if (!done)
		done = io->written.size > count ? -EIO : (ssize_t)io->written.size;
	for (i = 0; i < io->args.nr_vecs; i++) {
		struct page *page = io->vecs[i].bv_page;
		loff_t end = page_offset(page) + io->vecs[i].bv_offset + io->vecs[i].bv_len;

		/* What the daemon did not take must not stay as if it had. */
		if (done < 0 || end > pos + done)
			ClearPageUptodate(page);
		if (locked && i == io->args.nr_vecs - 1)
			unlock_page(page);
		put_page(page);
	}
	kfree(io);
	if (done >= 0 && done < count)
		iov_iter_revert(from, count - done);
	return done;
}

static ssize_t fr_write_cached(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct fr_inode *fi = fr_i(inode);
	loff_t pos = iocb->ki_pos;
	ssize_t done = 0;

	if (pos + iov_iter_count(from) > i_size_read(inode))
		set_bit(FR_SIZE_UNSTABLE, &fi->flags);
	while (iov_iter_count(from)) {
		ssize_t wrote = fr_write_pages(iocb, from, pos);

		if (wrote <= 0) {
			if (!done)
				done = wrote ? wrote : -EIO;
			break;
		}
		done += wrote;
		pos += wrote;
	}
	fr_written(inode, done > 0 ? pos : 0);
	clear_bit(FR_SIZE_UNSTABLE, &fi->flags);
	if (done > 0)
		iocb->ki_pos = pos;
	return done;
}

static void fr_put_user_pages(struct fr_io *io, bool dirty)
{
	unsigned int i;

	for (i = 0; i < io->args.nr_vecs; i++) {
		if (dirty)
			set_page_dirty_lock(io->vecs[i].bv_page);
		put_page(io->vecs[i].bv_page);
	}
}

/* Pins what one request takes of the caller's memory. */
static ssize_t fr_pin(struct fr_io *io, struct iov_iter *iter, unsigned int max_pages, size_t most)
{
	struct page *pages[16];
	size_t total = 0;

	while (total < most && io->args.nr_vecs < max_pages) {
		unsigned int room = min_t(unsigned int, ARRAY_SIZE(pages),
					  max_pages - io->args.nr_vecs);
		size_t start;
		ssize_t got = iov_iter_get_pages2(iter, pages, most - total, room, &start);
		unsigned int i;

		if (got <= 0)
			return total ? total : got ? got : -EFAULT;
		total += got;
		for (i = 0; got; i++) {
			unsigned int size = min_t(size_t, got, PAGE_SIZE - start);

			fr_io_add(io, pages[i], size, start);
			got -= size;
			start = 0;
		}
	}
	return total;
}

/* One request after the other, between the caller's own pages and the daemon. */
static ssize_t fr_direct(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	struct file *file = iocb->ki_filp;
	struct fr_conn *conn = fr_conn_of(file_inode(file));
	unsigned int limit = write ? conn->max_write : conn->max_read;
	loff_t pos = iocb->ki_pos;
	ssize_t done = 0, got;

	/* Simplified: no kernel buffers (a program on such a file cannot be run). */
	if (iov_iter_is_kvec(iter))
		return -EINVAL;
	while (iov_iter_count(iter)) {
		size_t most = min_t(size_t, iov_iter_count(iter), limit);
		unsigned int pages = min_t(size_t, conn->max_pages, most / PAGE_SIZE + 2);
		struct fr_io *io = fr_io_new(file, pages);
		ssize_t size;

		if (!io) {
			got = -ENOMEM;
			size = 0;
		} else {
			size = fr_pin(io, iter, pages, most);
			got = size;
		}
		if (size > 0) {
			if (write) {
				fr_fill_write(io, iocb, pos);
				io->write.write_flags |= FUSE_WRITE_LOCKOWNER;
				io->write.lock_owner = fr_lock_owner(conn, current->files);
				got = fr_call(conn, &io->args);
				if (!got)
					got = io->written.size > size ? -EIO : (ssize_t)io->written.size;
			} else {
				fr_fill_read(io, file, pos);
				io->read.read_flags |= FUSE_READ_LOCKOWNER;
				io->read.lock_owner = fr_lock_owner(conn, current->files);
				got = fr_call(conn, &io->args);
			}
			fr_put_user_pages(io, !write);
		}
		kfree(io);
		if (got <= 0) {
			if (!done)
				done = got;
			if (size > 0)
				iov_iter_revert(iter, size);
			break;
		}
		done += got;
		pos += got;
		if (got < size) {
			iov_iter_revert(iter, size - got);
			break;
		}
	}
	if (done > 0)
		iocb->ki_pos = pos;
	return done;
}

static bool fr_is_direct(struct kiocb *iocb)
{
	struct fr_file *ff = iocb->ki_filp->private_data;

	return (ff->open_flags & FOPEN_DIRECT_IO) || (iocb->ki_flags & IOCB_DIRECT);
}

static ssize_t fr_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	struct fr_conn *conn = fr_conn_of(inode);
	ssize_t got;
	int err;

	if (is_bad_inode(inode))
		return -EIO;
	if (fr_is_direct(iocb)) {
		got = fr_direct(iocb, to, false);
		if (!IS_RDONLY(inode))
			fr_mark_stale(inode, STATX_ATIME);
		return got;
	}
	if (conn->auto_inval_data || iocb->ki_pos + iov_iter_count(to) > i_size_read(inode)) {
		err = fr_refresh(inode, file, STATX_SIZE);
		if (err)
			return err;
	}
	return generic_file_read_iter(iocb, to);
}

static ssize_t fr_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	struct address_space *mapping = inode->i_mapping;
	struct fr_file *ff = file->private_data;
	ssize_t done;

	if (is_bad_inode(inode))
		return -EIO;
	inode_lock(inode);
	done = generic_write_checks(iocb, from);
	if (done <= 0)
		goto out;
	if (!(ff->open_flags & FOPEN_DIRECT_IO)) {
		done = file_remove_privs(file);
		if (done)
			goto out;
	}
	if (fr_is_direct(iocb)) {
		pgoff_t first = iocb->ki_pos >> PAGE_SHIFT;

		done = fr_direct(iocb, from, true);
		fr_written(inode, done > 0 ? iocb->ki_pos : 0);
		if (done > 0 && mapping->nrpages)
			invalidate_inode_pages2_range(mapping, first,
						      (iocb->ki_pos - 1) >> PAGE_SHIFT);
	} else {
		done = fr_write_cached(iocb, from);
	}
out:
	inode_unlock(inode);
	if (done > 0 && !(ff->open_flags & FOPEN_DIRECT_IO))
		done = generic_write_sync(iocb, done);
	return done;
}

/* Simplified: shared writable mappings are refused, since nothing is written back. */
static int fr_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct fr_file *ff = file->private_data;

	if ((ff->open_flags & FOPEN_DIRECT_IO) && (vma->vm_flags & VM_MAYSHARE))
		return -ENODEV;
	return generic_file_readonly_mmap(file, vma);
}

static loff_t fr_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	loff_t result;

	if (whence != SEEK_END)
		return generic_file_llseek(file, offset, whence);
	inode_lock(inode);
	result = fr_refresh(inode, file, STATX_SIZE);
	if (!result)
		result = generic_file_llseek(file, offset, whence);
	inode_unlock(inode);
	return result;
}

static long fr_fallocate(struct file *file, int mode, loff_t offset, loff_t length)
{
	struct inode *inode = file_inode(file);
	struct fr_conn *conn = fr_conn_of(inode);
	struct fr_inode *fi = fr_i(inode);
	struct fr_file *ff = file->private_data;
	struct fuse_fallocate_in in = {
		.fh = ff->fh, .offset = offset, .length = length, .mode = mode,
	};
	struct fr_args args = { .opcode = FUSE_FALLOCATE, .nodeid = fi->nodeid };
	bool grows = !(mode & FALLOC_FL_KEEP_SIZE);
	int err;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) ||
	    conn->no_fallocate)
		return -EOPNOTSUPP;
	inode_lock(inode);
	if (grows && offset + length > i_size_read(inode)) {
		err = inode_newsize_ok(inode, offset + length);
		if (err)
			goto out;
	}
	err = file_modified(file);
	if (err)
		goto out;
	if (grows)
		set_bit(FR_SIZE_UNSTABLE, &fi->flags);
	fr_in(&args, &in, sizeof(in));
	err = fr_call(conn, &args);
	if (err == -ENOSYS) {
		conn->no_fallocate = true;
		err = -EOPNOTSUPP;
	}
	if (!err) {
		fr_written(inode, grows ? offset + length : 0);
		if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
			truncate_pagecache_range(inode, offset, offset + length - 1);
	}
	if (grows)
		clear_bit(FR_SIZE_UNSTABLE, &fi->flags);
out:
	inode_unlock(inode);
	return err;
}

static const struct file_operations fr_file_operations = {
	.llseek = fr_llseek,
	.read_iter = fr_read_iter,
	.write_iter = fr_write_iter,
	.mmap = fr_mmap,
	.open = fr_open,
	.flush = fr_flush,
	.release = fr_release,
	.fsync = fr_fsync,
	.splice_read = generic_file_splice_read,
	.splice_write = iter_file_splice_write,
	.fallocate = fr_fallocate,
};

static const struct address_space_operations fr_address_space_operations = {
	.read_folio = fr_read_folio,
	.readahead = fr_readahead,
	.direct_IO = noop_direct_IO,	/* lets O_DIRECT be opened */
	.dirty_folio = filemap_dirty_folio,
};

void fr_init_file(struct inode *inode)
{
	inode->i_op = &fr_file_inode_operations;
	inode->i_fop = &fr_file_operations;
	inode->i_data.a_ops = &fr_address_space_operations;
}
