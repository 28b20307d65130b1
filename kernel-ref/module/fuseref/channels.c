// SPDX-License-Identifier: GPL-2.0
/*
 * The transport `channels`: several input queues a mount, each with devices of
 * its own, and busy waiting on both sides, as XFUSE describes it.
 *
 * A caller takes the channel of the CPU it runs on. Caller and daemon thread look
 * for up to busy_wait_us before they sleep, if what they wait for has lately
 * come within busy_wait_us + event_wait_us; otherwise they sleep at once. The
 * paper does not say how "lately" is averaged; here an eighth of the newest.
 */
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "fuseref.h"

static void fr_average(u64 *average, u64 newest)
{
	u64 old = READ_ONCE(*average);

	WRITE_ONCE(*average, old - old / 8 + newest / 8);
}

static bool fr_worth_spinning(struct fr_conn *conn, u64 observed)
{
	return conn->busy_wait_ns && observed < conn->busy_wait_ns + conn->event_wait_ns;
}

/* A channel without a device takes nothing: nobody would read it. */
static int fr_channels_init(struct fr_conn *conn)
{
	unsigned int i;

	for (i = 0; i < conn->nr_inputs; i++)
		conn->inputs[i].connected = false;
	return 0;
}

/*
 * The first device is the mount's own; libfuse's threads read clones of it, and
 * then nobody reads the first. A clone takes the channel with the fewest.
 */
static void fr_channels_attach(struct fr_conn *conn, struct fr_dev *dev)
{
	struct fr_input *input = &conn->inputs[0];
	unsigned int i;

	dev->clone = !list_is_singular(&conn->devices);
	for (i = 1; dev->clone && i < conn->nr_inputs; i++)
		if (conn->inputs[i].clones < input->clones)
			input = &conn->inputs[i];
	dev->input = input;
	spin_lock(&input->lock);
	input->clones += dev->clone;
	input->connected = conn->connected;
	spin_unlock(&input->lock);
	WRITE_ONCE(conn->nr_attached, max(conn->nr_attached, input->index + 1));
}

/* What nobody would read any more goes to a channel that is read. */
static void fr_move_input(struct fr_input *from, struct fr_input *to)
{
	struct fr_input *first = from->index < to->index ? from : to;
	struct fr_input *second = first == from ? to : from;
	struct fr_req *req;

	spin_lock(&first->lock);
	spin_lock_nested(&second->lock, SINGLE_DEPTH_NESTING);
	from->connected = false;
	list_for_each_entry(req, &from->pending, link)
		WRITE_ONCE(req->input, to);
	list_for_each_entry(req, &from->interrupts, interrupt_link)
		WRITE_ONCE(req->input, to);
	list_splice_tail_init(&from->pending, &to->pending);
	list_splice_tail_init(&from->interrupts, &to->interrupts);
	if (from->forgets.next) {
		to->last_forget->next = from->forgets.next;
		to->last_forget = from->last_forget;
		from->forgets.next = NULL;
		from->last_forget = &from->forgets;
	}
	wake_up_all(&to->readers);
	spin_unlock(&second->lock);
	spin_unlock(&first->lock);
}

static void fr_channels_detach(struct fr_conn *conn, struct fr_dev *dev)
{
	struct fr_input *input = dev->input, *to = &conn->inputs[0];
	unsigned int i;

	input->clones -= dev->clone;
	if (!dev->clone || input->clones || !conn->connected)
		return;
	for (i = 0; i < conn->nr_inputs; i++)
		if (conn->inputs[i].clones > to->clones)
			to = &conn->inputs[i];
	if (to == input)
		return;	/* back to the mount's own device, if that is still open */
	spin_lock(&to->lock);
	to->connected = true;
	spin_unlock(&to->lock);
	fr_move_input(input, to);
}

static struct fr_input *fr_channel_of_cpu(struct fr_conn *conn)
{
	return &conn->inputs[raw_smp_processor_id() % max(READ_ONCE(conn->nr_attached), 1U)];
}

static bool fr_channels_queue(struct fr_conn *conn, struct fr_req *req)
{
	struct fr_input *input = fr_channel_of_cpu(conn);
	unsigned int tries;

	for (tries = 0; tries <= conn->nr_inputs; tries++) {
		if (fr_input_queue(input, req))
			return true;
		input = &conn->inputs[(input->index + 1) % conn->nr_inputs];
	}
	return false;
}

static void fr_channels_queue_forget(struct fr_conn *conn, struct fr_forget *forget)
{
	struct fr_input *input = fr_channel_of_cpu(conn);
	unsigned int tries;

	for (tries = 0; tries <= conn->nr_inputs; tries++) {
		if (fr_input_queue_forget(input, forget))
			return;
		input = &conn->inputs[(input->index + 1) % conn->nr_inputs];
	}
	kfree(forget);
}

static void fr_channels_abort(struct fr_conn *conn, struct list_head *doomed)
{
	unsigned int i;

	for (i = 0; i < conn->nr_inputs; i++)
		fr_input_cut(&conn->inputs[i], doomed);
}

/* need_resched(): with one CPU, what is waited for may need this very CPU. */
static void fr_channels_spin(struct fr_conn *conn, struct fr_req *req)
{
	req->wait_began = local_clock();
	if (!fr_worth_spinning(conn, READ_ONCE(req->input->call_time)))
		return;
	while (!test_bit(FR_FINISHED, &req->flags) && !need_resched() &&
	       !signal_pending(current) &&
	       local_clock() - req->wait_began < conn->busy_wait_ns)
		cpu_relax();
}

static void fr_channels_waited(struct fr_conn *conn, struct fr_req *req)
{
	fr_average(&req->input->call_time, local_clock() - req->wait_began);
}

static void fr_channels_spin_reader(struct fr_conn *conn, struct fr_input *input)
{
	u64 began = local_clock();

	if (!fr_worth_spinning(conn, READ_ONCE(input->daemon_gap)))
		return;
	while (!fr_input_filled(input) && READ_ONCE(input->connected) && !need_resched() &&
	       !signal_pending(current) && local_clock() - began < conn->busy_wait_ns)
		cpu_relax();
}

static void fr_channels_reader_found(struct fr_conn *conn, struct fr_input *input, u64 idle)
{
	fr_average(&input->daemon_gap, idle);
}

const struct fuseref_transport_ops fr_channels = {
	.name = "channels",
	.init = fr_channels_init,
	.attach = fr_channels_attach,
	.detach = fr_channels_detach,
	.queue = fr_channels_queue,
	.queue_forget = fr_channels_queue_forget,
	.queue_interrupt = fr_any_queue_interrupt,
	.cancel = fr_any_cancel,
	.spin = fr_channels_spin,
	.waited = fr_channels_waited,
	.spin_reader = fr_channels_spin_reader,
	.reader_found = fr_channels_reader_found,
	.abort = fr_channels_abort,
};
