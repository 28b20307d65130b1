// SPDX-License-Identifier: GPL-2.0
/* Extended attributes: mostly to learn once that there are none. */
#include <linux/slab.h>
#include <linux/xattr.h>

#include "fuseref.h"

static ssize_t fr_ask(struct inode *inode, u32 opcode, const char *name, void *value,
		      size_t size, bool *unsupported)
{
	struct fuse_getxattr_in in = { .size = size };
	struct fuse_getxattr_out out = {};
	struct fr_args args = { .opcode = opcode, .nodeid = fr_i(inode)->nodeid };
	ssize_t result;

	if (READ_ONCE(*unsupported))
		return -EOPNOTSUPP;
	fr_in(&args, &in, sizeof(in));
	if (name)
		fr_in(&args, name, strlen(name) + 1);
	if (size) {
		args.variable = true;
		fr_out(&args, value, size);
	} else {
		fr_out(&args, &out, sizeof(out));
	}
	result = fr_call(fr_conn_of(inode), &args);
	if (!result && !size)
		result = min_t(u32, out.size, XATTR_SIZE_MAX);
	if (result == -ENOSYS) {
		WRITE_ONCE(*unsupported, true);
		result = -EOPNOTSUPP;
	}
	return result;
}

ssize_t fr_listxattr(struct dentry *dentry, char *list, size_t size)
{
	struct inode *inode = d_inode(dentry);
	struct fr_conn *conn = fr_conn_of(inode);
	ssize_t got;

	if (!fr_allowed(conn))
		return -EACCES;
	got = fr_ask(inode, FUSE_LISTXATTR, NULL, list, size, &conn->no_listxattr);
	/* Names must end. */
	if (got > 0 && size && list[got - 1])
		return -EIO;
	return got;
}

static int fr_xattr_get(const struct xattr_handler *handler, struct dentry *dentry,
			struct inode *inode, const char *name, void *value, size_t size)
{
	if (is_bad_inode(inode))
		return -EIO;
	return fr_ask(inode, FUSE_GETXATTR, name, value, size, &fr_conn_of(inode)->no_getxattr);
}

static int fr_xattr_set(const struct xattr_handler *handler, struct user_namespace *ns,
			struct dentry *dentry, struct inode *inode, const char *name,
			const void *value, size_t size, int flags)
{
	struct fr_conn *conn = fr_conn_of(inode);
	struct fuse_setxattr_in in = { .size = size, .flags = flags };
	struct fr_args args = { .nodeid = fr_i(inode)->nodeid };
	bool *unsupported = value ? &conn->no_setxattr : &conn->no_removexattr;
	int err;

	if (is_bad_inode(inode))
		return -EIO;
	if (!fr_allowed(conn))
		return -EACCES;
	if (READ_ONCE(*unsupported))
		return -EOPNOTSUPP;
	if (value) {
		args.opcode = FUSE_SETXATTR;
		fr_in(&args, &in, FUSE_COMPAT_SETXATTR_IN_SIZE);
		fr_in(&args, name, strlen(name) + 1);
		fr_in(&args, value, size);
	} else {
		args.opcode = FUSE_REMOVEXATTR;
		fr_in(&args, name, strlen(name) + 1);
	}
	err = fr_call(conn, &args);
	if (err == -ENOSYS) {
		WRITE_ONCE(*unsupported, true);
		err = -EOPNOTSUPP;
	}
	if (!err)
		fr_mark_stale(inode, STATX_CTIME);
	return err;
}

static const struct xattr_handler fr_xattr_any = {
	.prefix = "",
	.get = fr_xattr_get,
	.set = fr_xattr_set,
};

const struct xattr_handler *fr_xattr_handlers[] = { &fr_xattr_any, NULL };
