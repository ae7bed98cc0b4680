// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-unlinked-devices
 * promise: devices without a state that are open and unlinked come back as the same devices, with
 *	their mode and owner, also where a mount namespace of the tree has them, and have no name
 * flavours: flat one three
 * needs: initial-user-namespace
 */
#include "own-tmpfs.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { DEVICES = 3 };

static const unsigned minors[DEVICES] = { 3, 5, 7 }; /* null, zero, full */

struct devices {
	int fds[DEVICES], path_fd;
	char links[DEVICES][4200];
};

static void link_of(int fd, char link[4200])
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, link, 4199);
	link[length > 0 ? length : 0] = '\0';
}

static void make(struct devices *devices)
{
	char name[16];

	for (unsigned i = 0; i < DEVICES; i++) {
		snprintf(name, sizeof name, "device-%u", i);
		scenario_need(mknod(name, S_IFCHR | 0640, makedev(1, minors[i])) == 0 &&
				      chown(name, 0, 7) == 0,
			      "mknod");
		devices->fds[i] = open(name, i ? O_RDWR : O_WRONLY | O_APPEND);
		if (i == 0)
			devices->path_fd = open(name, O_PATH);
		scenario_need(devices->fds[i] >= 0 && unlink(name) == 0, "%s", name);
		link_of(devices->fds[i], devices->links[i]);
	}
}

static void check(const struct devices *devices)
{
	char link[4200], byte = 1;
	struct stat stat = { 0 }, of_path = { 0 };

	for (unsigned i = 0; i < DEVICES; i++) {
		link_of(devices->fds[i], link);
		scenario_check(strcmp(link, devices->links[i]) == 0, "%s was %s", link,
			       devices->links[i]);
		scenario_check(fstat(devices->fds[i], &stat) == 0 &&
				       stat.st_mode == (S_IFCHR | 0640) && stat.st_gid == 7 &&
				       stat.st_rdev == makedev(1, minors[i]) && stat.st_nlink == 0,
			       "device %u: mode %o, device %#lx, links %d", i, stat.st_mode,
			       (unsigned long)stat.st_rdev, (int)stat.st_nlink);
		snprintf(link, sizeof link, "device-%u", i);
		scenario_check(access(link, F_OK) < 0 && errno == ENOENT, "%s is there", link);
	}
	scenario_check(write(devices->fds[0], "x", 1) == 1 && read(devices->fds[0], link, 1) < 0,
		       "null");
	scenario_check(read(devices->fds[1], &byte, 1) == 1 && byte == 0, "zero");
	scenario_check(write(devices->fds[2], "x", 1) < 0 && errno == ENOSPC, "full");
	scenario_check(
		fstat(devices->path_fd, &of_path) == 0 && fstat(devices->fds[0], &stat) == 0 &&
			of_path.st_ino == stat.st_ino && fcntl(devices->path_fd, F_GETFL) & O_PATH,
		"the path leads to another");
}

static int apart(void *unused)
{
	struct devices devices;

	(void)unused;
	own_tmpfs_enter();
	make(&devices);
	own_tmpfs_wait_restored();
	check(&devices);
	own_tmpfs_leave();
	return 0;
}

int main(int argc, char **argv)
{
	struct devices devices;

	scenario_begin(argc, argv);
	pid_t child = scenario_child(apart, NULL);
	scenario_wait_mark("made");
	make(&devices);

	scenario_ready();

	check(&devices);
	scenario_reap(child);
	return scenario_end();
}
