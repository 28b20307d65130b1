// SPDX-License-Identifier: GPL-2.0
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "fuseref.h"

static struct miscdevice fr_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "fuseref",
	.mode = 0666,
	.fops = &fr_dev_operations,
};

static int __init fr_init(void)
{
	int err = -ENOMEM;

	fr_req_cache = kmem_cache_create("fuseref_request", sizeof(struct fr_req), 0, 0, NULL);
	if (!fr_req_cache)
		return err;
	err = fr_inode_cache_init();
	if (err)
		goto no_inodes;
	err = fr_stamps_init();
	if (err)
		goto no_stamps;
	err = misc_register(&fr_device);
	if (err)
		goto no_device;
	err = register_filesystem(&fr_type);
	if (err)
		goto no_type;
	return 0;

no_type:
	misc_deregister(&fr_device);
no_device:
	fr_stamps_exit();
no_stamps:
	fr_inode_cache_exit();
no_inodes:
	kmem_cache_destroy(fr_req_cache);
	return err;
}

static void __exit fr_exit(void)
{
	unregister_filesystem(&fr_type);
	misc_deregister(&fr_device);
	fr_stamps_exit();
	fr_inode_cache_exit();
	kmem_cache_destroy(fr_req_cache);
}

module_init(fr_init);
module_exit(fr_exit);
MODULE_AUTHOR("fusesim");
MODULE_DESCRIPTION("FUSE file system with exchangeable transports, for measurements");
MODULE_LICENSE("GPL");
