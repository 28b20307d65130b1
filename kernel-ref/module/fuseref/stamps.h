/* SPDX-License-Identifier: GPL-2.0 */
/*
 * When a request went through which stage, as a program reads it: one ring for
 * each CPU, mapped from /dev/fuseref_stamps at cpu * (header + capacity records)
 * rounded up to pages.
 */
#ifndef FUSEREF_STAMPS_H
#define FUSEREF_STAMPS_H

#include <linux/types.h>

#define FR_STAMPS_MAGIC 0x66723031	/* "fr01" */

enum fr_stage {
	FR_CREATED,	/* the caller has it, filled in */
	FR_QUEUED,	/* pending: the daemon may take it */
	FR_TAKEN,	/* copied to the daemon */
	FR_REPLIED,	/* the daemon's reply has come in */
	FR_ENDED,	/* parsed; the waiter is being woken */
	FR_RUNNING,	/* the waiter runs again; 0 if nobody waited */
	FR_STAGES,
};

struct fr_stamp {
	__u64 unique;
	__u64 at[FR_STAGES];	/* CLOCK_MONOTONIC, ns; 0: did not happen */
	__u32 opcode;
	__s32 error;
	__u32 in_size;		/* bytes of the request, header included */
	__u32 out_size;		/* bytes of the reply, header included */
	__u16 caller_cpu;	/* where it was created */
	__u16 taken_cpu;
	__u16 replied_cpu;
	__u16 running_cpu;
	__u32 connection;	/* st_dev of the mount */
	__u32 background;
};

struct fr_stamps_header {
	__u32 magic;
	__u32 record_size;
	__u32 capacity;		/* records; a power of two */
	__u32 cpus;
	__u64 written;		/* by the kernel, ever growing */
	__u64 read;		/* by the reader, ever growing */
	__u64 dropped;		/* records for which there was no room */
	__u64 unused[3];
};

#ifdef __KERNEL__
#include <linux/jump_label.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>

DECLARE_STATIC_KEY_FALSE(fr_stamping);

int fr_stamps_init(void);
void fr_stamps_exit(void);
void fr_stamps_write(const struct fr_stamp *stamp);

static inline void fr_stamp_at(struct fr_stamp *stamp, enum fr_stage stage)
{
	if (!static_branch_unlikely(&fr_stamping))
		return;
	stamp->at[stage] = ktime_get_ns();
	switch (stage) {
	case FR_CREATED:
		stamp->caller_cpu = raw_smp_processor_id();
		break;
	case FR_TAKEN:
		stamp->taken_cpu = raw_smp_processor_id();
		break;
	case FR_REPLIED:
		stamp->replied_cpu = raw_smp_processor_id();
		break;
	case FR_RUNNING:
		stamp->running_cpu = raw_smp_processor_id();
		break;
	default:
		break;
	}
}

static inline void fr_stamp_emit(const struct fr_stamp *stamp)
{
	if (static_branch_unlikely(&fr_stamping))
		fr_stamps_write(stamp);
}
#endif

#endif
