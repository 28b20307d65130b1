// SPDX-License-Identifier: GPL-2.0
/*
 * Copies between a request and the daemon's buffer.
 *
 * The buffer's pages are pinned one by one. Pinning may fault, and the fault
 * may need this very daemon; so the request is unlocked meanwhile, and an abort
 * may end it then: whoever comes back from pinning asks again.
 */
#include <linux/highmem.h>
#include <linux/uio.h>

#include "fuseref.h"

static int fr_lock_req(struct fr_req *req, bool lock)
{
	int err = 0;

	if (!req)
		return 0;
	spin_lock(&req->wait.lock);
	if (test_bit(FR_ABORTED, &req->flags))
		err = -ENOENT;
	else if (lock)
		set_bit(FR_LOCKED, &req->flags);
	else
		clear_bit(FR_LOCKED, &req->flags);
	spin_unlock(&req->wait.lock);
	return err;
}

void fr_copy_end(struct fr_copier *copier)
{
	if (!copier->page)
		return;
	if (copier->to_daemon) {
		flush_dcache_page(copier->page);
		set_page_dirty_lock(copier->page);
	}
	put_page(copier->page);
	copier->page = NULL;
}

static int fr_copy_fill(struct fr_copier *copier)
{
	size_t start;
	ssize_t got;
	int err;

	fr_copy_end(copier);
	err = fr_lock_req(copier->req, false);
	if (err)
		return err;
	got = iov_iter_get_pages2(copier->iter, &copier->page, PAGE_SIZE, 1, &start);
	if (got <= 0) {
		copier->page = NULL;
		return got < 0 ? got : -EFAULT;
	}
	copier->offset = start;
	copier->left = got;
	return fr_lock_req(copier->req, true);
}

/* Between the daemon's buffer and `data`, which is mapped; null `data` skips. */
int fr_copy(struct fr_copier *copier, void *data, unsigned int size)
{
	while (size) {
		unsigned int run;
		char *buffer;

		if (!copier->left) {
			int err = fr_copy_fill(copier);

			if (err)
				return err;
		}
		run = min(size, copier->left);
		if (data) {
			buffer = kmap_local_page(copier->page);
			if (copier->to_daemon)
				memcpy(buffer + copier->offset, data, run);
			else
				memcpy(data, buffer + copier->offset, run);
			kunmap_local(buffer);
			data += run;
		}
		copier->offset += run;
		copier->left -= run;
		size -= run;
	}
	return 0;
}

static int fr_copy_vec(struct fr_copier *copier, struct bio_vec *vec, unsigned int size)
{
	while (size) {
		unsigned int run;
		int err;
		char *data;

		/* Nothing may be mapped while a page is pinned, since that sleeps. */
		if (!copier->left) {
			err = fr_copy_fill(copier);
			if (err)
				return err;
		}
		run = min(size, copier->left);
		data = kmap_local_page(vec->bv_page);
		err = fr_copy(copier, data + vec->bv_offset + vec->bv_len - size, run);
		kunmap_local(data);
		if (err)
			return err;
		size -= run;
	}
	return 0;
}

int fr_copy_request(struct fr_copier *copier, struct fr_args *args)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < args->nr_in && !err; i++)
		err = fr_copy(copier, (void *)args->in[i].data, args->in[i].size);
	if (!args->data_in)
		return err;
	for (i = 0; i < args->nr_vecs && !err; i++)
		err = fr_copy_vec(copier, &args->vecs[i], args->vecs[i].bv_len);
	return err;
}

/* `size` is that of the reply without its header. */
int fr_copy_reply(struct fr_copier *copier, struct fr_args *args, unsigned int size)
{
	unsigned int room = args->data_out ? args->data_size : 0;
	unsigned int i, least;
	int err = 0;

	for (i = 0; i < args->nr_out; i++)
		room += args->out[i].size;
	least = room;
	if (args->variable)
		least -= args->data_out ? args->data_size : args->out[args->nr_out - 1].size;
	if (size > room || size < least)
		return -EINVAL;
	args->got = size - least;
	for (i = 0; i < args->nr_out && !err; i++) {
		unsigned int part = min(args->out[i].size, size);

		err = fr_copy(copier, args->out[i].data, part);
		size -= part;
	}
	if (!args->data_out)
		return err;
	for (i = 0; i < args->nr_vecs && !err; i++) {
		struct bio_vec *vec = &args->vecs[i];
		unsigned int part = min(vec->bv_len, size);

		if (part < vec->bv_len && args->zero_rest)
			memzero_page(vec->bv_page, vec->bv_offset + part, vec->bv_len - part);
		if (part) {
			struct bio_vec wanted = { vec->bv_page, part, vec->bv_offset };

			err = fr_copy_vec(copier, &wanted, part);
		}
		flush_dcache_page(vec->bv_page);
		size -= part;
	}
	return err;
}
