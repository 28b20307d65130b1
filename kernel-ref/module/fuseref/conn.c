// SPDX-License-Identifier: GPL-2.0
/*
 * Requests and connections: the gates before a request is made, the background
 * queue, the caller's wait, the end, and abort. No transport in here.
 */
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "fuseref.h"

struct kmem_cache *fr_req_cache;

struct fr_conn *fr_conn_new(const struct fuseref_transport_ops *transport, unsigned int inputs)
{
	struct fr_conn *conn = kzalloc(sizeof(*conn), GFP_KERNEL);
	unsigned int i;

	if (!conn)
		return NULL;
	spin_lock_init(&conn->lock);
	spin_lock_init(&conn->bg_lock);
	refcount_set(&conn->refs, 1);
	INIT_LIST_HEAD(&conn->devices);
	INIT_LIST_HEAD(&conn->bg_queue);
	init_waitqueue_head(&conn->gate);
	init_waitqueue_head(&conn->drained);
	conn->transport = transport;
	conn->connected = true;
	conn->max_background = FR_BACKGROUND_DEFAULT;
	conn->congestion_threshold = FR_CONGESTION_DEFAULT;
	conn->max_pages = FR_PAGES_DEFAULT;
	conn->max_write = PAGE_SIZE;
	conn->max_read = UINT_MAX;
	atomic64_set(&conn->attr_version, 1);
	get_random_bytes(conn->owner_key, sizeof(conn->owner_key));
	conn->inputs = kcalloc(inputs, sizeof(*conn->inputs), GFP_KERNEL);
	if (!conn->inputs) {
		kfree(conn);
		return NULL;
	}
	conn->nr_inputs = inputs;
	for (i = 0; i < inputs; i++)
		fr_input_init(&conn->inputs[i], i);
	if (transport->init && transport->init(conn)) {
		kfree(conn->inputs);
		kfree(conn);
		return NULL;
	}
	return conn;
}

struct fr_conn *fr_conn_get(struct fr_conn *conn)
{
	refcount_inc(&conn->refs);
	return conn;
}

void fr_conn_put(struct fr_conn *conn)
{
	if (!refcount_dec_and_test(&conn->refs))
		return;
	if (conn->transport->destroy)
		conn->transport->destroy(conn);
	kfree(conn->inputs);
	/* An RCU walk may still look at the options. */
	kfree_rcu(conn, rcu);
}

static bool fr_gate_closed(struct fr_conn *conn, bool background)
{
	return !READ_ONCE(conn->initialized) || (background && READ_ONCE(conn->blocked));
}

void fr_open_gate(struct fr_conn *conn)
{
	/* Who passes must see what INIT agreed on. */
	smp_store_release(&conn->initialized, true);
	wake_up_all(&conn->gate);
}

static void fr_leave(struct fr_conn *conn)
{
	if (atomic_dec_and_test(&conn->waiting))
		wake_up_all(&conn->drained);
}

static struct fr_req *fr_req_new(struct fr_conn *conn, struct fr_args *args, bool background)
{
	struct fr_req *req;
	unsigned int size = sizeof(struct fuse_in_header);
	int err, i;

	atomic_inc(&conn->waiting);
	if (!args->force) {
		if (fr_gate_closed(conn, background)) {
			err = wait_event_killable_exclusive(conn->gate,
							    !fr_gate_closed(conn, background));
			if (err) {
				err = -EINTR;
				goto fail;
			}
		}
		smp_rmb();
		err = -ENOTCONN;
		if (!READ_ONCE(conn->connected))
			goto fail;
		err = -ECONNREFUSED;
		if (conn->error)
			goto fail;
	}
	req = kmem_cache_zalloc(fr_req_cache, GFP_KERNEL | (args->force ? __GFP_NOFAIL : 0));
	if (!req) {
		err = -ENOMEM;
		/* This one was woken to pass the gate alone: hand that on. */
		if (background)
			wake_up(&conn->gate);
		goto fail;
	}
	INIT_LIST_HEAD(&req->link);
	INIT_LIST_HEAD(&req->interrupt_link);
	refcount_set(&req->refs, 1);
	init_waitqueue_head(&req->wait);
	req->conn = conn;
	req->args = args;
	req->flags = BIT(FR_WANTS_REPLY) | (args->force ? BIT(FR_FORCED) : 0) |
		     (background ? BIT(FR_BACKGROUND) : 0);
	for (i = 0; i < args->nr_in; i++)
		size += args->in[i].size;
	if (args->data_in)
		size += args->data_size;
	req->in.len = size;
	req->in.opcode = args->opcode;
	req->in.nodeid = args->nodeid;
	if (!args->no_creds) {
		req->in.uid = from_kuid_munged(&init_user_ns, current_fsuid());
		req->in.gid = from_kgid_munged(&init_user_ns, current_fsgid());
		req->in.pid = task_pid_nr(current);
	}
	fr_stamp_at(&req->stamp, FR_CREATED);
	return req;
fail:
	fr_leave(conn);
	return ERR_PTR(err);
}

void fr_req_put(struct fr_req *req)
{
	struct fr_conn *conn = req->conn;

	if (!refcount_dec_and_test(&req->refs))
		return;
	kmem_cache_free(fr_req_cache, req);
	fr_leave(conn);
}

static void fr_emit(struct fr_req *req)
{
	struct fr_stamp *stamp = &req->stamp;

	if (!static_branch_unlikely(&fr_stamping) || !stamp->at[FR_CREATED])
		return;
	stamp->unique = req->in.unique;
	stamp->opcode = req->in.opcode;
	stamp->error = req->out.error;
	stamp->in_size = req->in.len;
	stamp->out_size = req->out.len;
	stamp->connection = new_encode_dev(req->conn->dev);
	fr_stamp_emit(stamp);
}

/* Moves what the limit allows from the background queue to the daemon. */
static void fr_flush_background(struct fr_conn *conn)
{
	while (conn->active_background < conn->max_background && !list_empty(&conn->bg_queue)) {
		struct fr_req *req = list_first_entry(&conn->bg_queue, struct fr_req, link);

		list_del_init(&req->link);
		conn->active_background++;
		if (!conn->transport->queue(conn, req)) {
			/* No daemon is left: abort, which is to follow, ends it. */
			conn->active_background--;
			list_add(&req->link, &conn->bg_queue);
			break;
		}
	}
}

static void fr_background_ended(struct fr_conn *conn)
{
	spin_lock(&conn->bg_lock);
	if (conn->num_background == conn->max_background) {
		WRITE_ONCE(conn->blocked, false);
		wake_up(&conn->gate);
	} else if (!conn->blocked && waitqueue_active(&conn->gate)) {
		wake_up(&conn->gate);
	}
	conn->num_background--;
	conn->active_background--;
	fr_flush_background(conn);
	spin_unlock(&conn->bg_lock);
}

void fr_set_max_background(struct fr_conn *conn, unsigned int value)
{
	spin_lock(&conn->bg_lock);
	conn->max_background = value;
	WRITE_ONCE(conn->blocked, conn->num_background >= value);
	if (!conn->blocked)
		wake_up_all(&conn->gate);
	fr_flush_background(conn);
	spin_unlock(&conn->bg_lock);
}

bool fr_congested(struct fr_conn *conn)
{
	return READ_ONCE(conn->num_background) >= conn->congestion_threshold;
}

/*
 * Ends a request, in the context of whoever brought its result. Takes over one
 * reference; of two that end the same request the second only drops its own.
 */
void fr_req_end(struct fr_req *req)
{
	struct fr_conn *conn = req->conn;
	struct fr_args *args = req->args;
	bool background = test_bit(FR_BACKGROUND, &req->flags);

	fr_stamp_at(&req->stamp, FR_ENDED);
	if (test_and_set_bit(FR_FINISHED, &req->flags)) {
		fr_req_put(req);
		return;
	}
	if (test_bit(FR_INTERRUPTED, &req->flags) && req->input) {
		struct fr_input *input = fr_lock_input_of(req);

		list_del_init(&req->interrupt_link);
		spin_unlock(&input->lock);
	}
	if (background)
		fr_background_ended(conn);
	else
		wake_up(&req->wait);
	if (background) {
		fr_emit(req);
		if (args->done)
			args->done(conn, args, req->out.error);
	}
	fr_req_put(req);
}

/*
 * Three sleeps, each deafer than the one before: any signal asks the daemon to
 * give up; a fatal one takes back what the daemon has not seen; what it has
 * seen must be waited for, since its reply is copied to the caller's memory.
 */
static void fr_wait(struct fr_conn *conn, struct fr_req *req)
{
	if (conn->transport->spin) {
		conn->transport->spin(conn, req);
		if (test_bit(FR_FINISHED, &req->flags)) {
			smp_rmb();
			return;
		}
	}
	if (!conn->no_interrupt) {
		if (!wait_event_interruptible(req->wait, test_bit(FR_FINISHED, &req->flags)))
			return;
		set_bit(FR_INTERRUPTED, &req->flags);
		smp_mb__after_atomic();
		if (test_bit(FR_SENT, &req->flags))
			conn->transport->queue_interrupt(conn, req);
	}
	if (!test_bit(FR_FORCED, &req->flags)) {
		if (!wait_event_killable(req->wait, test_bit(FR_FINISHED, &req->flags)))
			return;
		if (conn->transport->cancel(conn, req)) {
			req->out.error = -EINTR;
			fr_req_put(req);
			return;
		}
	}
	wait_event(req->wait, test_bit(FR_FINISHED, &req->flags));
}

/* Sends a request and waits. Returns bytes of a variable reply, or the error. */
ssize_t fr_call(struct fr_conn *conn, struct fr_args *args)
{
	struct fr_req *req = fr_req_new(conn, args, false);
	ssize_t result;

	if (IS_ERR(req))
		return PTR_ERR(req);
	fr_req_get(req);
	if (conn->transport->queue(conn, req)) {
		fr_wait(conn, req);
		fr_stamp_at(&req->stamp, FR_RUNNING);
		if (conn->transport->waited)
			conn->transport->waited(conn, req);
		fr_emit(req);
	} else {
		fr_req_put(req);
		req->out.error = -ENOTCONN;
	}
	result = req->out.error;
	if (!result && args->variable)
		result = args->got;
	fr_req_put(req);
	return result;
}

/* Sends a request whose done() is called at its end; not called if this fails. */
int fr_call_background(struct fr_conn *conn, struct fr_args *args)
{
	struct fr_req *req = fr_req_new(conn, args, true);
	bool queued = false;

	if (IS_ERR(req))
		return PTR_ERR(req);
	req->stamp.background = 1;
	spin_lock(&conn->bg_lock);
	if (READ_ONCE(conn->connected)) {
		conn->num_background++;
		if (conn->num_background == conn->max_background)
			WRITE_ONCE(conn->blocked, true);
		list_add_tail(&req->link, &conn->bg_queue);
		fr_flush_background(conn);
		queued = true;
	}
	spin_unlock(&conn->bg_lock);
	if (queued)
		return 0;
	fr_req_put(req);
	return -ENOTCONN;
}

struct fr_forget *fr_forget_alloc(void)
{
	return kzalloc(sizeof(struct fr_forget), GFP_KERNEL_ACCOUNT);
}

void fr_send_forget(struct fr_conn *conn, struct fr_forget *forget, u64 nodeid, u64 nlookup)
{
	forget->one.nodeid = nodeid;
	forget->one.nlookup = nlookup;
	conn->transport->queue_forget(conn, forget);
}

/*
 * Ends everything: nobody may wait for a daemon that is gone. A request whose
 * arguments are being copied right now ends when the copy does.
 */
void fr_abort(struct fr_conn *conn)
{
	struct fr_dev *dev;
	struct fr_req *req, *next;
	LIST_HEAD(doomed);
	unsigned int i;

	spin_lock(&conn->lock);
	if (!conn->connected) {
		spin_unlock(&conn->lock);
		return;
	}
	WRITE_ONCE(conn->connected, false);
	WRITE_ONCE(conn->initialized, true);

	spin_lock(&conn->bg_lock);
	WRITE_ONCE(conn->blocked, false);
	conn->max_background = UINT_MAX;
	fr_flush_background(conn);
	list_for_each_entry(req, &conn->bg_queue, link)
		conn->active_background++;
	list_splice_tail_init(&conn->bg_queue, &doomed);
	spin_unlock(&conn->bg_lock);

	list_for_each_entry(dev, &conn->devices, link) {
		spin_lock(&dev->lock);
		dev->connected = false;
		list_for_each_entry_safe(req, next, &dev->io, link) {
			req->out.error = -ECONNABORTED;
			spin_lock(&req->wait.lock);
			set_bit(FR_ABORTED, &req->flags);
			if (!test_bit(FR_LOCKED, &req->flags)) {
				set_bit(FR_PRIVATE, &req->flags);
				fr_req_get(req);
				list_move_tail(&req->link, &doomed);
			}
			spin_unlock(&req->wait.lock);
		}
		for (i = 0; i < FR_HASH_SIZE; i++)
			list_splice_tail_init(&dev->processing[i], &doomed);
		spin_unlock(&dev->lock);
	}
	conn->transport->abort(conn, &doomed);
	wake_up_all(&conn->gate);
	spin_unlock(&conn->lock);

	list_for_each_entry_safe(req, next, &doomed, link) {
		list_del_init(&req->link);
		clear_bit(FR_SENT, &req->flags);
		clear_bit(FR_PENDING, &req->flags);
		req->out.error = -ECONNABORTED;
		fr_req_end(req);
	}
}
