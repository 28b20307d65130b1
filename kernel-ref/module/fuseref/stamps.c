// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/fuseref_stamps: one ring of finished requests for each CPU, written by
 * whoever ends a request there, read by a program that maps them. While nobody
 * has the device open nothing is stamped, at the cost of a patched-out jump.
 */
#include <linux/cpumask.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

#include "fuseref.h"

static unsigned int stamps = 1 << 14;
module_param(stamps, uint, 0444);
MODULE_PARM_DESC(stamps, "records in each CPU's ring of stamps, rounded up to a power of two");

DEFINE_STATIC_KEY_FALSE(fr_stamping);

static void *fr_rings;
static size_t fr_ring_size;

static struct fr_stamps_header *fr_ring_of(unsigned int cpu)
{
	return fr_rings + cpu * fr_ring_size;
}

void fr_stamps_write(const struct fr_stamp *stamp)
{
	struct fr_stamps_header *ring = fr_ring_of(get_cpu());
	struct fr_stamp *records = (struct fr_stamp *)(ring + 1);
	u64 written = ring->written;

	/* The reader's word is only believed within what makes sense. */
	if (written - smp_load_acquire(&ring->read) >= stamps) {
		ring->dropped++;
	} else {
		records[written & (stamps - 1)] = *stamp;
		smp_store_release(&ring->written, written + 1);
	}
	put_cpu();
}

static int fr_stamps_open(struct inode *inode, struct file *file)
{
	if (file->f_mode & FMODE_WRITE)
		static_branch_inc(&fr_stamping);
	return 0;
}

static int fr_stamps_release(struct inode *inode, struct file *file)
{
	if (file->f_mode & FMODE_WRITE)
		static_branch_dec(&fr_stamping);
	return 0;
}

static int fr_stamps_mmap(struct file *file, struct vm_area_struct *vma)
{
	return remap_vmalloc_range(vma, fr_rings, vma->vm_pgoff);
}

static const struct file_operations fr_stamps_operations = {
	.owner = THIS_MODULE,
	.open = fr_stamps_open,
	.release = fr_stamps_release,
	.mmap = fr_stamps_mmap,
	.llseek = noop_llseek,
};

static struct miscdevice fr_stamps_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "fuseref_stamps",
	.mode = 0600,
	.fops = &fr_stamps_operations,
};

int fr_stamps_init(void)
{
	unsigned int cpu;
	int err;

	stamps = roundup_pow_of_two(clamp_t(unsigned int, stamps, 16, 1 << 20));
	fr_ring_size = PAGE_ALIGN(sizeof(struct fr_stamps_header) +
				  stamps * sizeof(struct fr_stamp));
	fr_rings = vmalloc_user(nr_cpu_ids * fr_ring_size);
	if (!fr_rings)
		return -ENOMEM;
	for (cpu = 0; cpu < nr_cpu_ids; cpu++) {
		struct fr_stamps_header *ring = fr_ring_of(cpu);

		ring->magic = FR_STAMPS_MAGIC;
		ring->record_size = sizeof(struct fr_stamp);
		ring->capacity = stamps;
		ring->cpus = nr_cpu_ids;
	}
	err = misc_register(&fr_stamps_device);
	if (err)
		vfree(fr_rings);
	return err;
}

void fr_stamps_exit(void)
{
	misc_deregister(&fr_stamps_device);
	vfree(fr_rings);
}
