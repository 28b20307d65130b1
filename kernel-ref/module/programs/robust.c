// SPDX-License-Identifier: GPL-2.0
/*
 * Daemons that misbehave. Each case mounts, lets programs make calls, answers
 * wrongly or not at all, and checks that every call ended, and how.
 *
 *   robust TYPE MOUNTPOINT [-o OPTION,...] [CASE]...
 *
 * TYPE is fuse or fuseref: what must hold for both is no peculiarity of one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROOM (1 << 18)

static const char *type, *mountpoint, *options = "", *case_name;
static int device = -1;
static char request[ROOM] __attribute__((aligned(4096)));
static char path[4096];
static void *volatile nowhere = (void *)8;	/* behind the compiler's back */

static struct fuse_in_header *header(void)
{
	return (struct fuse_in_header *)request;
}

static void fail(const char *format, ...)
{
	va_list list;

	fprintf(stderr, "robust: %s %s: %s: ", type, options, case_name);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, "\n");
	if (device >= 0)
		close(device);
	umount2(mountpoint, MNT_DETACH);
	_exit(1);
}

static int at_line;	/* where it waits */

static void too_late(int signal)
{
	(void)signal;
	fail("line %d or later: nobody was released in time", at_line);
}

#define CHECK(what, ...) \
	do { \
		if (!(what)) \
			fail("line %d: " #what ": errno %d", __LINE__, errno); \
	} while (0)

/* Returns 0 or the error number of the write. */
static int reply_on(int fd, uint64_t unique, int error, const void *data, size_t size)
{
	struct fuse_out_header out = { .len = sizeof(out) + size, .error = error, .unique = unique };
	struct iovec parts[2] = { { &out, sizeof(out) }, { (void *)data, size } };

	return writev(fd, parts, 2) < 0 ? errno : 0;
}

static int sent_later(unsigned int opcode)
{
	return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_RELEASE ||
	       opcode == FUSE_RELEASEDIR;
}

/*
 * The next request that somebody waits for, or that is wanted; checks which. What an earlier child
 * left behind may still come, on another CPU.
 */
static struct fuse_in_header *take_from(int fd, unsigned int opcode)
{
	ssize_t got;

	for (;;) {
		got = read(fd, request, sizeof(request));
		if (got < (ssize_t)sizeof(*header()) || header()->len != got)
			fail("read %zd (errno %d), wanted opcode %u", got, errno, opcode);
		if (header()->opcode == opcode || !sent_later(header()->opcode))
			break;
		if (header()->opcode == FUSE_RELEASE || header()->opcode == FUSE_RELEASEDIR)
			reply_on(fd, header()->unique, 0, NULL, 0);
	}
	if (header()->opcode != opcode)
		fail("opcode %u instead of %u", header()->opcode, opcode);
	return header();
}

#define take(opcode) (at_line = __LINE__, take_from(device, opcode))
#define end_of(child) (at_line = __LINE__, wait_end(child))

static int reply(uint64_t unique, int error, const void *data, size_t size)
{
	return reply_on(device, unique, error, data, size);
}

static struct fuse_attr_out attributes(uint64_t ino, unsigned int mode)
{
	struct fuse_attr_out out = { .attr = { .ino = ino, .mode = mode, .nlink = 1 } };

	out.attr.size = 100000;
	return out;
}

static struct fuse_entry_out entry(uint64_t node, unsigned int mode)
{
	struct fuse_entry_out out = { .nodeid = node, .generation = 1 };

	out.attr = attributes(node, mode).attr;
	return out;
}

static void mount_it(void)
{
	struct fuse_init_out init = {
		.major = 7, .minor = 31, .max_write = 1 << 17, .max_readahead = 1 << 17,
		.flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ATOMIC_O_TRUNC,
	};
	char data[1024], node[64];

	snprintf(node, sizeof(node), "/dev/%s", type);
	device = open(node, O_RDWR | O_CLOEXEC);
	CHECK(device >= 0);
	snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=0,group_id=0%s%s", device,
		 *options ? "," : "", options);
	CHECK(mount("robust", mountpoint, type, 0, data) == 0);
	take(FUSE_INIT);
	CHECK(reply(header()->unique, 0, &init, sizeof(init)) == 0);
}

/* A program that makes one call and exits with its error number. */
static pid_t start(int (*call)(void))
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		signal(SIGALRM, SIG_DFL);
		close_range(3, ~0U, 0);	/* no device may live on in here */
		device = -1;
		errno = 0;
		_exit(call() ? errno : 0);
	}
	return child;
}

static int wait_end(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The same, for one that may go on to ask more: nothing of that works. */
static int end_refusing(pid_t child)
{
	struct pollfd ready = { .fd = device, .events = POLLIN };
	int status;

	while (waitpid(child, &status, WNOHANG) == 0)
		if (poll(&ready, 1, 2) == 1) {
			CHECK(read(device, request, sizeof(request)) > 0);
			reply(header()->unique, -EIO, NULL, 0);
		}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void unmount(void)
{
	CHECK(umount2(mountpoint, 0) == 0);
	close(device);
	device = -1;
}

static int is_abort(int error)
{
	return error == ECONNABORTED || error == ENOTCONN;
}

/* Calls */

static int stat_root(void)
{
	struct stat got;

	return stat(mountpoint, &got);
}

static int stat_file(void)
{
	struct stat got;

	snprintf(path, sizeof(path), "%.3000s/file", mountpoint);
	return stat(path, &got);
}

static int statfs_root(void)
{
	struct statfs got;

	return statfs(mountpoint, &got);
}

static int read_file(void)
{
	char data[8192];
	int fd;

	snprintf(path, sizeof(path), "%.3000s/file", mountpoint);
	fd = open(path, O_RDONLY);
	return fd < 0 ? -1 : read(fd, data, sizeof(data)) < 0 ? -1 : 0;
}

static int write_file(void)
{
	static char data[8192];
	int fd;

	snprintf(path, sizeof(path), "%.3000s/file", mountpoint);
	fd = open(path, O_WRONLY);
	return fd < 0 ? -1 : write(fd, data, sizeof(data)) < 0 ? -1 : 0;
}

static int list_root(void)
{
	char data[4096];
	int fd = open(mountpoint, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return -1;
	return syscall(SYS_getdents64, fd, data, sizeof(data)) < 0 ? -1 : 0;
}

static int stat_forever(void)
{
	while (!stat_root())
		;
	return -1;
}

static int read_forever(void)
{
	while (!read_file())
		;
	return -1;
}

/* Answers LOOKUP of "file" and its OPEN, as a daemon in order would. */
static void serve_open(unsigned int open_flags)
{
	struct fuse_entry_out found = entry(2, S_IFREG | 0644);
	struct fuse_open_out opened = { .fh = 7, .open_flags = open_flags };

	take(FUSE_LOOKUP);
	CHECK(reply(header()->unique, 0, &found, sizeof(found)) == 0);
	take(FUSE_OPEN);
	CHECK(reply(header()->unique, 0, &opened, sizeof(opened)) == 0);
}

static void serve_getattr(void)
{
	struct fuse_attr_out root = attributes(1, S_IFDIR | 0755);

	take(FUSE_GETATTR);
	CHECK(reply(header()->unique, 0, &root, sizeof(root)) == 0);
}

/* Cases */

static void dies_with_request(void)
{
	pid_t child;

	child = start(stat_root);
	take(FUSE_GETATTR);
	close(device);
	CHECK(is_abort(end_of(child)));
	child = start(stat_root);
	CHECK(is_abort(end_of(child)));
}

static void dies_with_queue(void)
{
	pid_t children[8];
	struct pollfd ready = { .fd = device, .events = POLLIN };
	unsigned int i;

	for (i = 0; i < 8; i++)
		children[i] = start(i % 2 ? stat_root : statfs_root);
	CHECK(poll(&ready, 1, 5000) == 1);
	usleep(100000);
	CHECK(read(device, request, sizeof(request)) > 0);
	close(device);
	for (i = 0; i < 8; i++)
		CHECK(is_abort(end_of(children[i])));
}

static void answers_twice(void)
{
	struct fuse_attr_out root = attributes(1, S_IFDIR | 0755);
	pid_t child = start(stat_root);

	take(FUSE_GETATTR);
	CHECK(reply(header()->unique, 0, &root, sizeof(root)) == 0);
	CHECK(reply(header()->unique, 0, &root, sizeof(root)) == ENOENT);
	CHECK(end_of(child) == 0);
	unmount();
}

static void unknown_ids(void)
{
	struct fuse_attr_out root = attributes(1, S_IFDIR | 0755);
	pid_t child = start(stat_root);
	uint64_t id;

	take(FUSE_GETATTR);
	for (id = 2; id < 5000; id += 2)
		if (id != header()->unique)
			CHECK(reply(id, -EIO, NULL, 0) == ENOENT);
	CHECK(reply(~0ULL, 0, &root, sizeof(root)) == ENOENT);
	CHECK(reply(1ULL << 63, 0, &root, sizeof(root)) == ENOENT);
	CHECK(reply(header()->unique + 3, -EAGAIN, NULL, 0) == ENOENT);
	CHECK(reply(header()->unique, 0, &root, sizeof(root)) == 0);
	CHECK(end_of(child) == 0);
	unmount();
}

static void wrong_sizes(void)
{
	static char large[ROOM];
	struct fuse_attr_out root = attributes(1, S_IFDIR | 0755);
	struct fuse_out_header out = { .len = sizeof(out) };
	size_t sizes[] = { 0, 1, sizeof(root) - 1, sizeof(root) + 1, 4096, ROOM - 16 };
	unsigned int i;
	pid_t child;

	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		child = start(stat_root);
		take(FUSE_GETATTR);
		CHECK(reply(header()->unique, 0, large, sizes[i]) == EINVAL);
		CHECK(end_of(child) == EIO);
	}
	child = start(stat_root);
	take(FUSE_GETATTR);
	/* These say nothing about the request, which goes on waiting. */
	CHECK(write(device, &out, 8) == -1 && errno == EINVAL);
	out.unique = header()->unique;
	out.len = 17;
	CHECK(write(device, &out, sizeof(out)) == -1 && errno == EINVAL);
	out.len = 0xffffffff;
	CHECK(write(device, &out, sizeof(out)) == -1 && errno == EINVAL);
	CHECK(write(device, "", 0) <= 0);
	CHECK(reply(header()->unique, 0, &root, sizeof(root)) == 0);
	CHECK(end_of(child) == 0);
	unmount();
}

static void wrong_errors(void)
{
	struct fuse_attr_out root = attributes(1, S_IFDIR | 0755);
	int errors[] = { 1, 2147483647, -512, -1000, -2147483647 - 1 };
	unsigned int i;
	pid_t child = start(stat_root);

	take(FUSE_GETATTR);
	for (i = 0; i < 5; i++)
		CHECK(reply(header()->unique, errors[i], NULL, 0) == EINVAL);
	CHECK(reply(header()->unique, -EPERM, &root, sizeof(root)) == EINVAL);
	CHECK(end_of(child) == EIO);
	child = start(stat_root);
	take(FUSE_GETATTR);
	CHECK(reply(header()->unique, -EPERM, NULL, 0) == 0);
	CHECK(end_of(child) == EPERM);
	unmount();
}

static void wrong_memory(void)
{
	struct fuse_out_header out = { .len = sizeof(out) + sizeof(struct fuse_attr_out) };
	struct iovec parts[2] = { { &out, sizeof(out) }, { nowhere, sizeof(struct fuse_attr_out) } };
	pid_t child = start(stat_root);

	take(FUSE_GETATTR);
	CHECK(write(device, nowhere, 16) == -1 && errno == EFAULT);
	out.unique = header()->unique;
	CHECK(writev(device, parts, 2) == -1 && errno == EFAULT);
	CHECK(end_of(child) == EIO);
	/* A buffer that cannot be written, or is too small for any request. */
	child = start(stat_root);
	CHECK(read(device, request, 4096) == -1 && errno == EINVAL);
	CHECK(read(device, nowhere, sizeof(request)) == -1 && errno == EFAULT);
	CHECK(end_of(child) == EIO);
	unmount();
}

static void garbage(void)
{
	struct fuse_attr_out root;
	struct fuse_entry_out found;
	struct fuse_open_out opened = { .fh = 1 };
	static char noise[8192];
	unsigned int i, k;
	pid_t child;

	srand(1);
	/* A file type that there is not, a size below zero, the root in another place. */
	for (i = 0; i < 3; i++) {
		child = start(stat_file);
		take(FUSE_LOOKUP);
		found = entry(i == 1 ? 2 : i == 2 ? 1 : 3,
			      i == 0 ? 0170000 : i == 2 ? S_IFDIR : S_IFREG);
		found.generation = 0;
		if (i == 1)
			found.attr.size = 1ULL << 63;
		CHECK(reply(header()->unique, 0, &found, sizeof(found)) == 0);
		CHECK(end_of(child) == EIO);
	}
	for (i = 0; i < 50; i++) {
		child = start(stat_file);
		take(FUSE_LOOKUP);
		for (k = 0; k < sizeof(found); k++)
			((char *)&found)[k] = rand();
		found.entry_valid = found.entry_valid_nsec = 0;	/* to be asked again */
		found.attr.flags = 0;	/* no mounts below */
		CHECK(reply(header()->unique, 0, &found, sizeof(found)) == 0);
		end_refusing(child);
	}
	/* Directory entries. */
	for (i = 0; i < 50; i++) {
		struct pollfd ready = { .fd = device, .events = POLLIN };

		/* What is left of the one before. */
		while (poll(&ready, 1, 0) == 1) {
			CHECK(read(device, request, sizeof(request)) > 0);
			reply(header()->unique, -EIO, NULL, 0);
		}
		child = start(list_root);
		take(FUSE_OPENDIR);
		CHECK(reply(header()->unique, 0, &opened, sizeof(opened)) == 0);
		take(FUSE_READDIR);
		for (k = 0; k < sizeof(noise); k++)
			noise[k] = i % 2 ? rand() : rand() % 2;
		CHECK(reply(header()->unique, 0, noise, 4096 - i) == 0);
		end_refusing(child);
	}
	/* Noise instead of a reply. */
	for (i = 0; i < 5000; i++) {
		for (k = 0; k < 200; k++)
			noise[k] = rand();
		if (i % 2)
			((struct fuse_out_header *)noise)->len = i % 200;
		if (write(device, noise, i % 200) >= 0 && i % 200)
			fail("noise of %u bytes was taken", i % 200);
	}
	while (poll(&(struct pollfd){ .fd = device, .events = POLLIN }, 1, 50) == 1) {
		CHECK(read(device, request, sizeof(request)) > 0);
		reply(header()->unique, -EIO, NULL, 0);
	}
	child = start(stat_root);
	take(FUSE_GETATTR);
	root = attributes(1, S_IFREG | 0644);
	CHECK(reply(header()->unique, 0, &root, sizeof(root)) == 0);
	CHECK(end_of(child) == EIO);
	umount2(mountpoint, MNT_DETACH);	/* its root is bad now */
	close(device);
}

static void short_read(void)
{
	static char data[4096];
	pid_t child = start(read_file);

	serve_open(FOPEN_DIRECT_IO);
	take(FUSE_READ);
	CHECK(reply(header()->unique, 0, data, 10) == 0);
	take(FUSE_FLUSH);
	reply(header()->unique, -ENOSYS, NULL, 0);
	CHECK(end_of(child) == 0);
	take(FUSE_RELEASE);
	reply(header()->unique, -EIO, NULL, 0);

	child = start(write_file);
	serve_open(0);
	take(FUSE_GETXATTR);
	reply(header()->unique, -ENOSYS, NULL, 0);
	take(FUSE_WRITE);
	/* More than was given. */
	((struct fuse_write_out *)data)->size = 0xfffffff0;
	CHECK(reply(header()->unique, 0, data, sizeof(struct fuse_write_out)) == 0);
	CHECK(end_of(child) == EIO);
	take(FUSE_RELEASE);
	reply(header()->unique, 0, NULL, 0);
	unmount();
}

/* Any signal asks the daemon to give up; a fatal one ends what it has not seen. */
static void interrupts(void)
{
	struct pollfd ready = { .fd = device, .events = POLLIN };
	pid_t child = start(stat_root);
	uint64_t id;

	take(FUSE_GETATTR);
	id = header()->unique;
	kill(child, SIGTERM);
	take(FUSE_INTERRUPT);
	CHECK(((struct fuse_interrupt_in *)(header() + 1))->unique == id);
	/* "Again": comes once more; and with a payload that it must not have. */
	CHECK(reply(header()->unique, -EAGAIN, NULL, 0) == 0);
	take(FUSE_INTERRUPT);
	CHECK(reply(header()->unique, -EAGAIN, request, 8) == EINVAL);
	CHECK(waitpid(child, NULL, WNOHANG) == 0);
	CHECK(reply(id, -EINTR, NULL, 0) == 0);
	CHECK(end_of(child) == -SIGTERM);

	child = start(stat_root);
	CHECK(poll(&ready, 1, 5000) == 1);
	kill(child, SIGKILL);
	CHECK(end_of(child) == -SIGKILL);
	CHECK(poll(&ready, 1, 0) == 0);
	unmount();
}

static void never_answers(void)
{
	pid_t children[20];
	unsigned int i;

	for (i = 0; i < 20; i++)
		children[i] = start(i % 3 ? stat_root : stat_file);
	for (i = 0; i < 10; i++)
		CHECK(read(device, request, sizeof(request)) > 0);
	for (i = 0; i < 20; i++)
		kill(children[i], SIGKILL);
	usleep(50000);
	CHECK(umount2(mountpoint, MNT_FORCE | MNT_DETACH) == 0);
	for (i = 0; i < 20; i++)
		CHECK(end_of(children[i]) == -SIGKILL);
	CHECK(read(device, request, sizeof(request)) == -1 && errno == ENODEV);
	close(device);
}

static volatile int serving;

static void *serve_thread(void *argument)
{
	int fd = *(int *)argument;
	static __thread char message[ROOM];
	struct fuse_in_header *in = (struct fuse_in_header *)message;
	static char zeros[1 << 17];

	for (;;) {
		struct fuse_attr_out attr;
		struct fuse_entry_out found;
		struct fuse_open_out opened = { .fh = 7 };

		if (read(fd, message, sizeof(message)) < 0)
			return NULL;
		serving++;
		switch (in->opcode) {
		case FUSE_GETATTR:
			attr = in->nodeid == 1 ? attributes(1, S_IFDIR | 0755) :
						 attributes(2, S_IFREG | 0644);
			reply_on(fd, in->unique, 0, &attr, sizeof(attr));
			break;
		case FUSE_LOOKUP:
			found = entry(2, S_IFREG | 0644);
			reply_on(fd, in->unique, 0, &found, sizeof(found));
			break;
		case FUSE_OPEN:
			reply_on(fd, in->unique, 0, &opened, sizeof(opened));
			break;
		case FUSE_READ:
			reply_on(fd, in->unique, 0, zeros,
				 ((struct fuse_read_in *)(in + 1))->size);
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			break;
		default:
			reply_on(fd, in->unique, -ENOSYS, NULL, 0);
		}
	}
}

static void under_load(int clones, int force)
{
	pthread_t threads[4];
	int fds[4];
	pid_t children[12];
	unsigned int i;
	char node[64];

	fds[0] = device;
	for (i = 1; i < 4; i++) {
		uint32_t master = device;

		fds[i] = device;
		if (!clones)
			continue;
		snprintf(node, sizeof(node), "/dev/%s", type);
		fds[i] = open(node, O_RDWR | O_CLOEXEC);
		CHECK(fds[i] >= 0 && ioctl(fds[i], FUSE_DEV_IOC_CLONE, &master) == 0);
	}
	/* Programs first: a fork of a process with threads is none of our business. */
	for (i = 0; i < 12; i++)
		children[i] = start(i % 2 ? stat_forever : read_forever);
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, serve_thread, &fds[i]);
	while (serving < 3000)
		usleep(1000);
	CHECK(umount2(mountpoint, 0) == -1 && errno == EBUSY);
	CHECK(umount2(mountpoint, force) == 0 || (force == MNT_FORCE && errno == EBUSY));
	if (force == MNT_DETACH)
		for (i = 0; i < 12; i++)
			kill(children[i], SIGKILL);
	for (i = 0; i < 12; i++) {
		int error = end_of(children[i]);

		if (force == MNT_DETACH ? error != -SIGKILL && error != ENOENT :
		    error != EIO && error != ENOENT && !is_abort(error))
			fail("a program ended with %d", error);
	}
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	if (clones)
		for (i = 1; i < 4; i++)
			close(fds[i]);
	if (force == MNT_FORCE)
		umount2(mountpoint, MNT_DETACH);
	close(device);
	serving = 0;
}

static void detached_under_load(void)
{
	under_load(0, MNT_DETACH);
}

static void forced_under_load(void)
{
	under_load(0, MNT_FORCE);
}

static void clones_under_load(void)
{
	under_load(1, MNT_FORCE);
}

static void clones(void)
{
	struct fuse_attr_out root = attributes(1, S_IFDIR | 0755);
	uint32_t master = device, nothing = 12345;
	char node[64];
	int clone, third;
	pid_t child;

	snprintf(node, sizeof(node), "/dev/%s", type);
	clone = open(node, O_RDWR | O_CLOEXEC);
	CHECK(read(clone, request, sizeof(request)) == -1 && errno == EPERM);
	CHECK(write(clone, request, 16) == -1 && errno == EPERM);
	CHECK(ioctl(clone, FUSE_DEV_IOC_CLONE, &nothing) == -1);
	CHECK(ioctl(clone, FUSE_DEV_IOC_CLONE, &clone) == -1 && errno == EINVAL);
	CHECK(ioctl(clone, FUSE_DEV_IOC_CLONE, &master) == 0);
	CHECK(ioctl(clone, FUSE_DEV_IOC_CLONE, &master) == -1 && errno == EINVAL);
	/* Taken on one, answered on another: not found there. */
	child = start(stat_root);
	take_from(clone, FUSE_GETATTR);
	CHECK(reply(header()->unique, 0, &root, sizeof(root)) == ENOENT);
	CHECK(reply_on(clone, header()->unique, 0, &root, sizeof(root)) == 0);
	CHECK(end_of(child) == 0);
	/* What a closed clone had taken is lost; the mount is not. */
	child = start(stat_root);
	take_from(clone, FUSE_GETATTR);
	close(clone);
	CHECK(end_of(child) == ECONNABORTED);
	third = open(node, O_RDWR | O_CLOEXEC);
	CHECK(ioctl(third, FUSE_DEV_IOC_CLONE, &master) == 0);
	child = start(stat_root);
	take_from(third, FUSE_GETATTR);
	CHECK(reply_on(third, header()->unique, 0, &root, sizeof(root)) == 0);
	CHECK(end_of(child) == 0);
	CHECK(umount2(mountpoint, 0) == 0);
	CHECK(read(third, request, sizeof(request)) == -1 && errno == ENODEV);
	close(third);
	close(device);
}

/* The daemon's child has the device too: the mount lives as long as it does. */
static void forks(void)
{
	struct fuse_attr_out root = attributes(1, S_IFDIR | 0755);
	pid_t child, heir;
	int gate[2];
	char byte;

	CHECK(pipe(gate) == 0);
	child = start(stat_root);
	take(FUSE_GETATTR);
	heir = fork();
	if (!heir) {
		close(gate[1]);
		if (read(gate[0], &byte, 1) < 0)
			_exit(2);
		_exit(reply(header()->unique, 0, &root, sizeof(root)));
	}
	close(device);
	CHECK(waitpid(child, NULL, WNOHANG) == 0);
	CHECK(write(gate[1], "x", 1) == 1);
	CHECK(end_of(heir) == 0);
	CHECK(end_of(child) == 0);
	child = start(stat_root);
	CHECK(is_abort(end_of(child)));
	close(gate[0]);
	close(gate[1]);
}

static void *fault_thread(void *mapping)
{
	struct fuse_out_header out = { .len = sizeof(out) + 4096, .unique = header()->unique };
	struct iovec parts[2] = { { &out, sizeof(out) }, { mapping, 4096 } };

	/* The reply's payload lies in the file that this very reply is to fill. */
	return writev(device, parts, 2) < 0 ? (void *)1 : NULL;
}

static int read_page(void)
{
	int fd;
	char byte;

	snprintf(path, sizeof(path), "%.3000s/file", mountpoint);
	fd = open(path, O_RDONLY);
	return fd < 0 ? -1 : pread(fd, &byte, 1, 0) != 1 ? -1 : 0;
}

static void *open_thread(void *fd)
{
	snprintf(path, sizeof(path), "%.3000s/file", mountpoint);
	*(int *)fd = open(path, O_RDONLY);
	return NULL;
}

static void replies_from_itself(void)
{
	pthread_t opener, writer;
	int fd = -1;
	pid_t child;
	void *mapping, *result;

	pthread_create(&opener, NULL, open_thread, &fd);
	serve_open(FOPEN_KEEP_CACHE);
	pthread_join(opener, NULL);
	CHECK(fd >= 0);
	mapping = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(mapping != MAP_FAILED);
	child = start(read_page);
	take(FUSE_FLUSH);	/* of the descriptor that it inherited */
	CHECK(reply(header()->unique, -ENOSYS, NULL, 0) == 0);
	serve_open(FOPEN_KEEP_CACHE);
	take(FUSE_READ);
	pthread_create(&writer, NULL, fault_thread, mapping);
	usleep(200000);
	/* Both wait for the page. Only an abort helps. */
	CHECK(umount2(mountpoint, MNT_FORCE) == -1);
	pthread_join(writer, &result);
	CHECK(result);
	CHECK(end_of(child) != 0);
	munmap(mapping, 4096);
	close(fd);
	umount2(mountpoint, MNT_DETACH);
	close(device);
}

static void never_initialised(void)
{
	pid_t child;
	char data[1024], node[64];

	unmount();
	snprintf(node, sizeof(node), "/dev/%s", type);
	device = open(node, O_RDWR | O_CLOEXEC);
	snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=0,group_id=0%s%s", device,
		 *options ? "," : "", options);
	CHECK(mount("robust", mountpoint, type, 0, data) == 0);
	child = start(stat_root);
	usleep(50000);
	kill(child, SIGKILL);
	CHECK(end_of(child) == -SIGKILL);
	child = start(stat_root);
	usleep(50000);
	take(FUSE_INIT);
	CHECK(reply(header()->unique, -EPROTO, NULL, 0) == 0);
	CHECK(end_of(child) == ECONNREFUSED);
	/* Somebody else's mount: the device is taken, or is none. */
	CHECK(mount("robust", mountpoint, type, 0, data) == -1);
	CHECK(mount("robust", mountpoint, type, 0, "fd=0,rootmode=40000,user_id=0,group_id=0") == -1);
	CHECK(mount("robust", mountpoint, type, 0, "rootmode=40000,user_id=0,group_id=0") == -1);
	CHECK(umount2(mountpoint, 0) == 0);
	close(device);
}

/* More read-ahead than may be under way, none of it answered. */
static int read_ahead(void)
{
	char data[65536];
	int fd;

	snprintf(path, sizeof(path), "%.3000s/file", mountpoint);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	posix_fadvise(fd, 0, 100000, POSIX_FADV_WILLNEED);
	return read(fd, data, sizeof(data)) < 0 ? -1 : 0;
}

static void background(void)
{
	pid_t child = start(read_ahead);

	serve_open(0);
	take(FUSE_READ);
	CHECK(reply(header()->unique, -EIO, NULL, 0) == 0);
	/* Asked once more page by page, and answered with too much. */
	take(FUSE_READ);
	CHECK(reply(header()->unique, 0, request, sizeof(request) - 16) == EINVAL);
	end_refusing(child);
	child = start(read_ahead);
	serve_open(0);
	take(FUSE_READ);
	close(device);
	CHECK(end_of(child) != 0);
}

static void plain(void)
{
	pid_t child = start(stat_root);

	serve_getattr();
	CHECK(end_of(child) == 0);
	unmount();
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "plain", plain },
	{ "dies_with_request", dies_with_request },
	{ "dies_with_queue", dies_with_queue },
	{ "answers_twice", answers_twice },
	{ "unknown_ids", unknown_ids },
	{ "wrong_sizes", wrong_sizes },
	{ "wrong_errors", wrong_errors },
	{ "wrong_memory", wrong_memory },
	{ "garbage", garbage },
	{ "short_read", short_read },
	{ "interrupts", interrupts },
	{ "never_answers", never_answers },
	{ "never_initialised", never_initialised },
	{ "background", background },
	{ "clones", clones },
	{ "forks", forks },
	{ "replies_from_itself", replies_from_itself },
	{ "detached_under_load", detached_under_load },
	{ "forced_under_load", forced_under_load },
	{ "clones_under_load", clones_under_load },
};

int main(int argc, char **argv)
{
	unsigned int i, ran = 0;
	int chosen = 3;

	if (argc > 4 && !strcmp(argv[3], "-o")) {
		options = argv[4];
		chosen = 5;
	}
	if (argc < 3) {
		fprintf(stderr, "usage: robust TYPE MOUNTPOINT [-o OPTION,...] [CASE]...\n");
		return 2;
	}
	type = argv[1];
	mountpoint = argv[2];
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int k, wanted = chosen == argc, status;
		pid_t child;

		for (k = chosen; k < argc; k++)
			wanted |= !strcmp(argv[k], cases[i].name);
		if (!wanted)
			continue;
		case_name = cases[i].name;
		/* A process each: what one leaves open ends with it. */
		child = fork();
		if (!child) {
			signal(SIGALRM, too_late);
			alarm(30);
			mount_it();
			cases[i].run();
			umount2(mountpoint, MNT_DETACH);
			_exit(0);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || status) {
			fprintf(stderr, "robust: %s: %s failed\n", type, case_name);
			umount2(mountpoint, MNT_DETACH | MNT_FORCE);
			return 1;
		}
		ran++;
	}
	printf("robust: %s%s%s: %u cases\n", type, *options ? " " : "", options, ran);
	return ran ? 0 : 2;
}
