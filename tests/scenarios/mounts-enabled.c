// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-enabled
 * promise: a file system that is not supported is mounted again where the caller wants that
 *	(--enable-fs), from the device that it was on, with its flags; files stay open there
 * flavours: flat one three
 * needs: initial-user-namespace device:loop-control program:mkfs.ext4
 * options: --enable-fs ext4
 * restore-options: --enable-fs ext4
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

static char device[32];

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static void attach(void)
{
	int file = open("image", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), loop = -1;

	need(file >= 0 && ftruncate(file, 4 << 20) == 0 && system("mkfs.ext4 -q image") == 0 &&
		     control >= 0,
	     "image");
	/* Somebody else may be faster. */
	for (int tries = 0; tries < 100; tries++) {
		snprintf(device, sizeof device, "/dev/loop%d", ioctl(control, LOOP_CTL_GET_FREE));
		loop = open(device, O_RDWR | O_CLOEXEC);
		if (loop >= 0 && ioctl(loop, LOOP_SET_FD, file) == 0)
			break;
		close(loop);
		loop = -1;
	}
	need(loop >= 0, device);
	close(loop);
	close(control);
	close(file);
}

static void detach(void)
{
	int loop = open(device, O_RDWR | O_CLOEXEC);

	scenario_check(loop >= 0 && ioctl(loop, LOOP_CLR_FD) == 0, "%s: %s", device,
		       strerror(errno));
	close(loop);
}

static int inside(void *unused)
{
	char text[8] = "";
	struct statvfs before, after;
	struct statfs fs;

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("place", 0755) == 0 &&
		     mount(device, "place", "ext4", MS_NOATIME | MS_NODEV, NULL) == 0,
	     "mount");
	int fd = open("place/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	need(fd >= 0 && write(fd, "text", 4) == 4 && statvfs("place", &before) == 0, "file");
	scenario_mark("inside");

	scenario_wait_restored();
	scenario_check(statfs("place", &fs) == 0 && fs.f_type == 0xef53 &&
			       statvfs("place", &after) == 0 && before.f_flag == after.f_flag,
		       "another file system, or other flags");
	scenario_check(pread(fd, text, sizeof text, 0) == 4 && strcmp(text, "text") == 0 &&
			       write(fd, "more", 4) == 4 && access("place/lost+found", F_OK) == 0,
		       "another content");
	close(fd);
	scenario_check(umount2("place", 0) == 0, "umount: %s", strerror(errno));
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	attach();
	pid_t pid = scenario_child_in(CLONE_NEWNS, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	detach();
	return scenario_end();
}
