// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/fuseref, and input queues: how requests reach daemon threads that read
 * and write a device. The transport `classic` is one input queue for all.
 */
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "fuseref.h"

/* Forgets and requests take turns while both wait. */
#define FR_FORGET_TURNS 16
#define FR_REQUEST_TURNS 8

static DEFINE_MUTEX(fr_attach_mutex);

void fr_input_init(struct fr_input *input, unsigned int index)
{
	spin_lock_init(&input->lock);
	init_waitqueue_head(&input->readers);
	INIT_LIST_HEAD(&input->pending);
	INIT_LIST_HEAD(&input->interrupts);
	input->last_forget = &input->forgets;
	input->connected = true;
	input->index = index;
}

bool fr_input_filled(struct fr_input *input)
{
	return !list_empty(&input->pending) || input->forgets.next ||
	       !list_empty(&input->interrupts);
}

static u64 fr_next_unique(struct fr_conn *conn)
{
	return atomic64_add_return(FR_UNIQUE_STEP, &conn->unique);
}

bool fr_input_queue(struct fr_input *input, struct fr_req *req)
{
	struct fr_conn *conn = req->conn;

	spin_lock(&input->lock);
	if (!input->connected) {
		spin_unlock(&input->lock);
		return false;
	}
	req->in.unique = fr_next_unique(conn);
	req->input = input;
	atomic64_inc(&conn->sent[min_t(u32, req->in.opcode, ARRAY_SIZE(conn->sent) - 1)]);
	set_bit(FR_PENDING, &req->flags);
	list_add_tail(&req->link, &input->pending);
	fr_stamp_at(&req->stamp, FR_QUEUED);
	wake_up(&input->readers);
	spin_unlock(&input->lock);
	return true;
}

bool fr_input_queue_forget(struct fr_input *input, struct fr_forget *forget)
{
	bool connected;

	spin_lock(&input->lock);
	connected = input->connected;
	if (connected) {
		input->last_forget->next = forget;
		input->last_forget = forget;
		wake_up(&input->readers);
	}
	spin_unlock(&input->lock);
	return connected;
}

/* A request moves to another input when the devices of its own are closed. */
struct fr_input *fr_lock_input_of(struct fr_req *req)
{
	for (;;) {
		struct fr_input *input = READ_ONCE(req->input);

		spin_lock(&input->lock);
		if (input == READ_ONCE(req->input))
			return input;
		spin_unlock(&input->lock);
	}
}

void fr_any_queue_interrupt(struct fr_conn *conn, struct fr_req *req)
{
	struct fr_input *input = fr_lock_input_of(req);

	/* It may have ended meanwhile, and would never leave the list. */
	if (list_empty(&req->interrupt_link) && !test_bit(FR_FINISHED, &req->flags) &&
	    input->connected) {
		list_add_tail(&req->interrupt_link, &input->interrupts);
		wake_up(&input->readers);
	}
	spin_unlock(&input->lock);
}

bool fr_any_cancel(struct fr_conn *conn, struct fr_req *req)
{
	struct fr_input *input = fr_lock_input_of(req);
	bool cancelled = false;

	if (test_bit(FR_PENDING, &req->flags)) {
		list_del_init(&req->link);
		clear_bit(FR_PENDING, &req->flags);
		cancelled = true;
	}
	spin_unlock(&input->lock);
	return cancelled;
}

void fr_input_cut(struct fr_input *input, struct list_head *doomed)
{
	struct fr_forget *forget, *next;
	struct fr_req *req;

	spin_lock(&input->lock);
	input->connected = false;
	list_for_each_entry(req, &input->pending, link)
		clear_bit(FR_PENDING, &req->flags);
	list_splice_tail_init(&input->pending, doomed);
	forget = input->forgets.next;
	input->forgets.next = NULL;
	input->last_forget = &input->forgets;
	wake_up_all(&input->readers);
	spin_unlock(&input->lock);
	for (; forget; forget = next) {
		next = forget->next;
		kfree(forget);
	}
}

static bool fr_classic_queue(struct fr_conn *conn, struct fr_req *req)
{
	return fr_input_queue(&conn->inputs[0], req);
}

static void fr_classic_queue_forget(struct fr_conn *conn, struct fr_forget *forget)
{
	if (!fr_input_queue_forget(&conn->inputs[0], forget))
		kfree(forget);
}

static void fr_classic_abort(struct fr_conn *conn, struct list_head *doomed)
{
	fr_input_cut(&conn->inputs[0], doomed);
}

static void fr_classic_attach(struct fr_conn *conn, struct fr_dev *dev)
{
	dev->input = &conn->inputs[0];
}

const struct fuseref_transport_ops fr_classic = {
	.name = "classic",
	.attach = fr_classic_attach,
	.queue = fr_classic_queue,
	.queue_forget = fr_classic_queue_forget,
	.queue_interrupt = fr_any_queue_interrupt,
	.cancel = fr_any_cancel,
	.abort = fr_classic_abort,
};

static struct fr_dev *fr_dev_of(struct file *file)
{
	/* Pairs with the release at mount: a device is not read before. */
	return smp_load_acquire(&file->private_data);
}

static struct list_head *fr_hash(struct fr_dev *dev, u64 unique)
{
	return &dev->processing[hash_64(unique & ~FR_UNIQUE_INTERRUPT, FR_HASH_BITS)];
}

/* Messages that are no requests: the interrupt of one, and forgets. */
static ssize_t fr_read_interrupt(struct fr_dev *dev, struct fr_input *input,
				 struct fr_copier *copier)
{
	struct fr_req *req = list_first_entry(&input->interrupts, struct fr_req, interrupt_link);
	struct fuse_in_header header = {
		.len = sizeof(header) + sizeof(struct fuse_interrupt_in),
		.opcode = FUSE_INTERRUPT,
		.unique = req->in.unique | FR_UNIQUE_INTERRUPT,
	};
	struct fuse_interrupt_in body = { .unique = req->in.unique };
	int err;

	list_del_init(&req->interrupt_link);
	spin_unlock(&input->lock);
	atomic64_inc(&dev->conn->sent[FUSE_INTERRUPT]);
	err = fr_copy(copier, &header, sizeof(header));
	if (!err)
		err = fr_copy(copier, &body, sizeof(body));
	fr_copy_end(copier);
	return err ? err : header.len;
}

static bool fr_forgets_turn(struct fr_input *input)
{
	if (!input->forgets.next)
		return false;
	if (list_empty(&input->pending) || input->forget_turns-- > 0)
		return true;
	if (input->forget_turns <= -FR_REQUEST_TURNS)
		input->forget_turns = FR_FORGET_TURNS;
	return false;
}

static struct fr_forget *fr_take_forgets(struct fr_input *input, unsigned int most,
					 unsigned int *count)
{
	struct fr_forget *first = input->forgets.next;
	struct fr_forget **end = &input->forgets.next;

	for (*count = 0; *end && *count < most; ++*count)
		end = &(*end)->next;
	input->forgets.next = *end;
	*end = NULL;
	if (!input->forgets.next)
		input->last_forget = &input->forgets;
	return first;
}

static ssize_t fr_read_forgets(struct fr_dev *dev, struct fr_input *input,
			       struct fr_copier *copier, size_t size)
{
	struct fuse_in_header header = { .unique = fr_next_unique(dev->conn) };
	struct fuse_batch_forget_in batch = {};
	struct fr_forget *forget, *next;
	unsigned int count;
	int err;

	if (!input->forgets.next->next) {
		struct fuse_forget_in body;

		forget = fr_take_forgets(input, 1, &count);
		spin_unlock(&input->lock);
		header.opcode = FUSE_FORGET;
		header.nodeid = forget->one.nodeid;
		header.len = sizeof(header) + sizeof(body);
		body.nlookup = forget->one.nlookup;
		kfree(forget);
		err = fr_copy(copier, &header, sizeof(header));
		if (!err)
			err = fr_copy(copier, &body, sizeof(body));
	} else {
		size_t room = size - sizeof(header) - sizeof(batch);

		forget = fr_take_forgets(input, room / sizeof(struct fuse_forget_one), &count);
		spin_unlock(&input->lock);
		header.opcode = FUSE_BATCH_FORGET;
		header.len = sizeof(header) + sizeof(batch) +
			     count * sizeof(struct fuse_forget_one);
		batch.count = count;
		err = fr_copy(copier, &header, sizeof(header));
		if (!err)
			err = fr_copy(copier, &batch, sizeof(batch));
		for (; forget; forget = next) {
			next = forget->next;
			if (!err)
				err = fr_copy(copier, &forget->one, sizeof(forget->one));
			kfree(forget);
		}
	}
	atomic64_inc(&dev->conn->sent[header.opcode]);
	fr_copy_end(copier);
	return err ? err : header.len;
}

/* Copies one pending request; false if it was too large for the buffer. */
static bool fr_read_request(struct fr_dev *dev, struct fr_req *req, struct fr_copier *copier,
			    size_t size, ssize_t *result)
{
	struct fr_args *args = req->args;
	unsigned int length = req->in.len;
	int err;

	if (length > size) {
		req->out.error = args->opcode == FUSE_SETXATTR ? -E2BIG : -EIO;
		fr_req_end(req);
		return false;
	}
	spin_lock(&dev->lock);
	if (!dev->connected) {
		spin_unlock(&dev->lock);
		req->out.error = -ECONNABORTED;
		fr_req_end(req);
		*result = -ENODEV;
		return true;
	}
	list_add(&req->link, &dev->io);
	set_bit(FR_LOCKED, &req->flags);
	spin_unlock(&dev->lock);

	copier->req = req;
	err = fr_copy(copier, &req->in, sizeof(req->in));
	if (!err)
		err = fr_copy_request(copier, args);
	fr_copy_end(copier);
	fr_stamp_at(&req->stamp, FR_TAKEN);

	spin_lock(&dev->lock);
	clear_bit(FR_LOCKED, &req->flags);
	if (!dev->connected)
		err = -ENODEV;
	if (err) {
		if (!test_bit(FR_PRIVATE, &req->flags)) {
			list_del_init(&req->link);
			if (err != -ENODEV)
				req->out.error = -EIO;
		}
		spin_unlock(&dev->lock);
		fr_req_end(req);
		*result = err;
		return true;
	}
	list_move_tail(&req->link, fr_hash(dev, req->in.unique));
	fr_req_get(req);
	set_bit(FR_SENT, &req->flags);
	spin_unlock(&dev->lock);
	/* Pairs with fr_wait(): a signal finds it sent, or this finds the signal. */
	smp_mb__after_atomic();
	if (test_bit(FR_INTERRUPTED, &req->flags))
		fr_any_queue_interrupt(dev->conn, req);
	fr_req_put(req);
	*result = length;
	return true;
}

static ssize_t fr_dev_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct fr_dev *dev = fr_dev_of(iocb->ki_filp);
	struct fr_copier copier = { .iter = to, .to_daemon = true };
	size_t size = iov_iter_count(to);
	struct fr_input *input;
	struct fr_conn *conn;
	u64 idle_since = 0;
	ssize_t result;

	if (!dev)
		return -EPERM;
	if (!user_backed_iter(to))
		return -EINVAL;
	conn = dev->conn;
	input = dev->input;
	if (size < max_t(size_t, FUSE_MIN_READ_BUFFER,
			 sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in) +
			 conn->max_write))
		return -EINVAL;
	for (;;) {
		struct fr_req *req;

		spin_lock(&input->lock);
		if (!READ_ONCE(dev->connected) || !input->connected) {
			spin_unlock(&input->lock);
			return -ENODEV;
		}
		if (!fr_input_filled(input)) {
			spin_unlock(&input->lock);
			if (iocb->ki_filp->f_flags & O_NONBLOCK)
				return -EAGAIN;
			if (conn->transport->spin_reader) {
				if (!idle_since)
					idle_since = local_clock();
				conn->transport->spin_reader(conn, input);
			}
			if (wait_event_interruptible_exclusive(input->readers,
					!input->connected || !READ_ONCE(dev->connected) ||
					fr_input_filled(input)))
				return -ERESTARTSYS;
			continue;
		}
		if (idle_since) {
			conn->transport->reader_found(conn, input, local_clock() - idle_since);
			idle_since = 0;
		}
		if (!list_empty(&input->interrupts))
			return fr_read_interrupt(dev, input, &copier);
		if (fr_forgets_turn(input))
			return fr_read_forgets(dev, input, &copier, size);
		req = list_first_entry(&input->pending, struct fr_req, link);
		clear_bit(FR_PENDING, &req->flags);
		list_del_init(&req->link);
		spin_unlock(&input->lock);
		if (fr_read_request(dev, req, &copier, size, &result))
			return result;
	}
}

static struct fr_req *fr_find(struct fr_dev *dev, u64 unique)
{
	struct fr_req *req;

	list_for_each_entry(req, fr_hash(dev, unique), link) {
		if (req->in.unique == (unique & ~FR_UNIQUE_INTERRUPT))
			return req;
	}
	return NULL;
}

static int fr_interrupt_reply(struct fr_conn *conn, struct fr_req *req, int error, bool bare)
{
	int err = 0;

	if (!bare)
		err = -EINVAL;
	else if (error == -ENOSYS)
		conn->no_interrupt = true;
	else if (error == -EAGAIN)
		fr_any_queue_interrupt(conn, req);
	fr_req_put(req);
	return err;
}

static ssize_t fr_dev_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct fr_dev *dev = fr_dev_of(iocb->ki_filp);
	struct fr_copier copier = { .iter = from };
	size_t size = iov_iter_count(from);
	struct fuse_out_header header;
	struct fr_req *req = NULL;
	int err;

	if (!dev)
		return -EPERM;
	if (!user_backed_iter(from) || size < sizeof(header))
		return -EINVAL;
	err = fr_copy(&copier, &header, sizeof(header));
	if (err)
		goto out;
	err = -EINVAL;
	/* Notifications (no unique id) are not taken. */
	if (header.len != size || !header.unique || header.error > 0 || header.error <= -512)
		goto out;

	spin_lock(&dev->lock);
	if (dev->connected)
		req = fr_find(dev, header.unique);
	if (!req) {
		spin_unlock(&dev->lock);
		err = -ENOENT;
		goto out;
	}
	if (header.unique & FR_UNIQUE_INTERRUPT) {
		fr_req_get(req);
		spin_unlock(&dev->lock);
		err = fr_interrupt_reply(dev->conn, req, header.error, size == sizeof(header));
		goto out;
	}
	clear_bit(FR_SENT, &req->flags);
	list_move(&req->link, &dev->io);
	req->out = header;
	set_bit(FR_LOCKED, &req->flags);
	spin_unlock(&dev->lock);

	fr_stamp_at(&req->stamp, FR_REPLIED);
	copier.req = req;
	if (header.error)
		err = size == sizeof(header) ? 0 : -EINVAL;
	else
		err = fr_copy_reply(&copier, req->args, size - sizeof(header));
	fr_copy_end(&copier);

	spin_lock(&dev->lock);
	clear_bit(FR_LOCKED, &req->flags);
	if (!dev->connected)
		err = -ENOENT;
	else if (err)
		req->out.error = -EIO;
	if (!test_bit(FR_PRIVATE, &req->flags))
		list_del_init(&req->link);
	spin_unlock(&dev->lock);
	fr_req_end(req);
	return err ? err : size;
out:
	fr_copy_end(&copier);
	return err ? err : size;
}

static __poll_t fr_dev_poll(struct file *file, poll_table *wait)
{
	struct fr_dev *dev = fr_dev_of(file);
	__poll_t mask = EPOLLOUT | EPOLLWRNORM;

	if (!dev)
		return EPOLLERR;
	poll_wait(file, &dev->input->readers, wait);
	spin_lock(&dev->input->lock);
	if (!dev->input->connected)
		mask = EPOLLERR;
	else if (fr_input_filled(dev->input))
		mask |= EPOLLIN | EPOLLRDNORM;
	spin_unlock(&dev->input->lock);
	return mask;
}

struct fr_dev *fr_dev_new(struct fr_conn *conn)
{
	struct fr_dev *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	unsigned int i;

	if (!dev)
		return NULL;
	spin_lock_init(&dev->lock);
	dev->connected = true;
	INIT_LIST_HEAD(&dev->io);
	for (i = 0; i < FR_HASH_SIZE; i++)
		INIT_LIST_HEAD(&dev->processing[i]);
	dev->conn = fr_conn_get(conn);
	return dev;
}

void fr_dev_attach(struct fr_dev *dev, struct fr_conn *conn)
{
	atomic_inc(&conn->devices_open);
	spin_lock(&conn->lock);
	dev->connected = conn->connected;
	list_add_tail(&dev->link, &conn->devices);
	conn->transport->attach(conn, dev);
	spin_unlock(&conn->lock);
}

/* Makes an open file a way to `conn`: the mount's first, or a clone. */
static int fr_dev_bind(struct file *file, struct fr_conn *conn)
{
	struct fr_dev *dev;
	int err = -EINVAL;

	mutex_lock(&fr_attach_mutex);
	if (!file->private_data) {
		err = -ENOMEM;
		dev = fr_dev_new(conn);
		if (dev) {
			fr_dev_attach(dev, conn);
			smp_store_release(&file->private_data, dev);
			err = 0;
		}
	}
	mutex_unlock(&fr_attach_mutex);
	return err;
}

int fr_dev_bind_fd(int fd, struct fr_conn *conn)
{
	struct file *file = fget(fd);
	int err = -EINVAL;

	if (!file)
		return -EBADF;
	if (file->f_op == &fr_dev_operations)
		err = fr_dev_bind(file, conn);
	fput(file);
	return err;
}

static int fr_dev_clone(struct file *file, u32 fd)
{
	struct file *other = fget(fd);
	struct fr_dev *dev;
	int err = -EINVAL;

	if (!other)
		return -EBADF;
	if (other->f_op == &fr_dev_operations) {
		dev = fr_dev_of(other);
		if (dev)
			err = fr_dev_bind(file, dev->conn);
	}
	fput(other);
	return err;
}

static long fr_dev_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	u32 fd;

	if (command != FUSE_DEV_IOC_CLONE)
		return -ENOTTY;
	if (get_user(fd, (u32 __user *)argument))
		return -EFAULT;
	return fr_dev_clone(file, fd);
}

static int fr_dev_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;	/* misc_open() left the misc device here */
	return stream_open(inode, file);
}

static int fr_dev_release(struct inode *inode, struct file *file)
{
	struct fr_dev *dev = fr_dev_of(file);
	struct fr_req *req, *next;
	struct fr_conn *conn;
	LIST_HEAD(doomed);
	unsigned int i;

	if (!dev)
		return 0;
	conn = dev->conn;
	spin_lock(&dev->lock);
	WARN_ON(!list_empty(&dev->io));
	for (i = 0; i < FR_HASH_SIZE; i++)
		list_splice_tail_init(&dev->processing[i], &doomed);
	spin_unlock(&dev->lock);
	list_for_each_entry_safe(req, next, &doomed, link) {
		list_del_init(&req->link);
		clear_bit(FR_SENT, &req->flags);
		req->out.error = -ECONNABORTED;
		fr_req_end(req);
	}
	/* Before it leaves the list: what its queue holds goes to another one. */
	if (atomic_dec_and_test(&conn->devices_open))
		fr_abort(conn);
	spin_lock(&conn->lock);
	list_del(&dev->link);
	if (conn->transport->detach)
		conn->transport->detach(conn, dev);
	spin_unlock(&conn->lock);
	fr_conn_put(conn);
	kfree(dev);
	return 0;
}

const struct file_operations fr_dev_operations = {
	.owner = THIS_MODULE,
	.open = fr_dev_open,
	.release = fr_dev_release,
	.read_iter = fr_dev_read_iter,
	.write_iter = fr_dev_write_iter,
	.poll = fr_dev_poll,
	.unlocked_ioctl = fr_dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = no_llseek,
};
