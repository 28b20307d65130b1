// SPDX-License-Identifier: GPL-2.0
/*
 * Makes the same file system calls each time, and says how long each kind took.
 *
 *   calls DIR ROUNDS [NAME]...     all kinds, or those named; prints "NAME MEAN_NS" for each
 *
 * DIR holds a file `file0` of at least 1 MiB. Requests per round depend on the
 * mount's time-outs, so a run is compared with another of the same mount.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 17] __attribute__((aligned(4096)));
static char name[4096], other[4096];
static const char *folder;
static int fd, scratch;
static unsigned int round_number;

static const char *in_folder(char *to, const char *what)
{
	snprintf(to, sizeof(name), "%.3000s/%.100s", folder, what);
	return to;
}

static int call_stat(void)
{
	struct stat got;

	return stat(in_folder(name, "file0"), &got);
}

static int call_stat_missing(void)
{
	struct stat got;

	return stat(in_folder(name, "missing"), &got) == -1 && errno == ENOENT ? 0 : -1;
}

static int call_statfs(void)
{
	struct statfs got;

	return statfs(folder, &got);
}

static int call_open_close(void)
{
	int opened = open(in_folder(name, "file0"), O_RDONLY);

	return opened < 0 ? -1 : close(opened);
}

static int call_create_unlink(void)
{
	int opened = open(in_folder(name, "made"), O_CREAT | O_EXCL | O_WRONLY, 0644);

	return opened < 0 || close(opened) ? -1 : unlink(name);
}

static int call_mkdir_rmdir(void)
{
	return mkdir(in_folder(name, "folder"), 0755) ? -1 : rmdir(name);
}

static int call_rename(void)
{
	const char *from = round_number % 2 ? "scratch2" : "scratch";
	const char *to = round_number % 2 ? "scratch" : "scratch2";

	return rename(in_folder(name, from), in_folder(other, to));
}

static int call_readdir(void)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int found = 0;

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		found += !strcmp(entry->d_name, "file0");
	return closedir(dir) || found != 1 ? -1 : 0;
}

static int call_chmod(void)
{
	return fchmod(scratch, round_number % 2 ? 0600 : 0644);
}

static int call_truncate(void)
{
	return ftruncate(scratch, round_number % 2 ? 100 : 10000);
}

static int call_read_4k(void)
{
	/* A stride that read-ahead takes for random; back to the start after a while. */
	return pread(fd, buffer, 4096, (round_number * 37 % 241) * 4096) == 4096 ? 0 : -1;
}

static int call_read_128k(void)
{
	return pread(fd, buffer, 1 << 17, (round_number * 5 % 7) << 17) == 1 << 17 ? 0 : -1;
}

static int call_write_4k(void)
{
	return pwrite(scratch, buffer, 4096, round_number % 16 * 4096) == 4096 ? 0 : -1;
}

static int call_write_100(void)
{
	return pwrite(scratch, buffer, 100, round_number % 16 * 4096 + 50) == 100 ? 0 : -1;
}

static int call_write_128k(void)
{
	return pwrite(scratch, buffer, 1 << 17, 0) == 1 << 17 ? 0 : -1;
}

static int call_fsync(void)
{
	return fsync(scratch);
}

static const struct kind {
	const char *name;
	int (*call)(void);
} kinds[] = {
	{ "stat", call_stat },
	{ "stat_missing", call_stat_missing },
	{ "statfs", call_statfs },
	{ "open_close", call_open_close },
	{ "create_unlink", call_create_unlink },
	{ "mkdir_rmdir", call_mkdir_rmdir },
	{ "readdir", call_readdir },
	{ "chmod", call_chmod },
	{ "truncate", call_truncate },
	{ "read_4k", call_read_4k },
	{ "read_128k", call_read_128k },
	{ "write_4k", call_write_4k },
	{ "write_100", call_write_100 },
	{ "write_128k", call_write_128k },
	{ "fsync", call_fsync },
	{ "rename", call_rename },
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static int wanted(const char *kind, char **names)
{
	if (!*names)
		return 1;
	for (; *names; names++)
		if (!strcmp(*names, kind))
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int rounds, i;

	if (argc < 3 || atoi(argv[2]) < 1) {
		fprintf(stderr, "usage: calls DIR ROUNDS [NAME]...\n");
		return 2;
	}
	folder = argv[1];
	rounds = atoi(argv[2]);
	fd = open(in_folder(name, "file0"), O_RDONLY);
	scratch = open(in_folder(name, "scratch"), O_CREAT | O_RDWR, 0644);
	if (fd < 0 || scratch < 0) {
		perror(name);
		return 1;
	}
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		double began;

		if (!wanted(kinds[i].name, argv + 3))
			continue;
		/* The last kinds move the file: an even number puts it back. */
		began = now();
		for (round_number = 0; round_number < (rounds + 1) / 2 * 2; round_number++) {
			errno = 0;
			if (kinds[i].call()) {
				fprintf(stderr, "calls: %s: %s\n", kinds[i].name,
					strerror(errno));
				return 1;
			}
		}
		printf("%s %.0f\n", kinds[i].name, (now() - began) / round_number);
	}
	close(scratch);
	close(fd);
	return unlink(in_folder(name, "scratch"));
}
