// SPDX-License-Identifier: GPL-2.0
/*
 * Mounts a FUSE file system and starts its daemon with the open device, as
 * libfuse (3.3 or newer) takes it: "/dev/fd/N" for the mount point.
 *
 *   mount.fuseref [-t fuseref|fuse] [-o OPTION,...] MOUNTPOINT DAEMON [ARGUMENT]...
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *type = "fuseref", *options = "", *mountpoint;
	char device[64], data[4096], place[32], **command;
	struct stat root;
	int fd, option;

	while ((option = getopt(argc, argv, "+t:o:")) != -1) {
		if (option == 't')
			type = optarg;
		else if (option == 'o')
			options = optarg;
		else
			return 2;
	}
	if (argc - optind < 2) {
		fprintf(stderr, "usage: mount.fuseref [-t TYPE] [-o OPTION,...] MOUNTPOINT DAEMON "
				"[ARGUMENT]...\n");
		return 2;
	}
	mountpoint = argv[optind];
	snprintf(device, sizeof(device), "/dev/%.32s", type);
	fd = open(device, O_RDWR);	/* the daemon inherits it */
	if (fd < 0 || stat(mountpoint, &root)) {
		fprintf(stderr, "mount.fuseref: %s: %s\n", fd < 0 ? device : mountpoint,
			strerror(errno));
		return 1;
	}
	snprintf(data, sizeof(data), "fd=%d,rootmode=%o,user_id=%u,group_id=%u%s%s", fd,
		 root.st_mode & S_IFMT, getuid(), getgid(), *options ? "," : "", options);
	if (mount("fuseref", mountpoint, type, MS_NOSUID | MS_NODEV, data)) {
		fprintf(stderr, "mount.fuseref: %s: %s\n", mountpoint, strerror(errno));
		return 1;
	}
	command = calloc(argc + 1, sizeof(*command));
	if (!command)
		return 1;
	memcpy(command, argv + optind + 1, (argc - optind - 1) * sizeof(*command));
	snprintf(place, sizeof(place), "/dev/fd/%d", fd);
	command[argc - optind - 1] = place;
	execvp(command[0], command);
	fprintf(stderr, "mount.fuseref: %s: %s\n", command[0], strerror(errno));
	umount2(mountpoint, MNT_DETACH);
	return 1;
}
