// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-device
 * promise: a file system on a block device, which the tree has mounted (ext4), is mounted again
 *	from there, with its flags and options; what was in it is there, files stay open, also
 *	one without a name
 * flavours: flat one three
 * needs: initial-user-namespace device:loop-control program:mkfs.ext4
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

enum { SIZE = 512 };

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

/* Those of the file system, as the kernel shows them. */
static void read_options(char options[SIZE])
{
	char line[4096], *end;
	FILE *file = fopen("/proc/self/mountinfo", "re");

	options[0] = '\0';
	while (file && fgets(line, sizeof line, file))
		if (strstr(line, device) && (end = strrchr(line, ' ')))
			snprintf(options, SIZE, "%s", end);
	scenario_check(strstr(options, "commit=7"), "no line of %s", device);
	fclose(file);
}

static int inside(void *unused)
{
	char text[8] = "", options[SIZE], now[SIZE];
	struct statvfs before, after;
	struct statfs fs;

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("place", 0755) == 0 &&
		     mount(device, "place", "ext4", MS_NOATIME | MS_NODEV,
			   "commit=7,errors=remount-ro") == 0,
	     "mount");
	int fd = open("place/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	need(fd >= 0 && write(fd, "text", 4) == 4 && statvfs("place", &before) == 0, "file");
	int removed = open("place/removed", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	need(removed >= 0 && write(removed, "kept", 4) == 4 && unlink("place/removed") == 0,
	     "removed");
	read_options(options);
	scenario_mark("inside");

	scenario_wait_restored();
	scenario_check(statfs("place", &fs) == 0 && fs.f_type == 0xef53 &&
			       statvfs("place", &after) == 0 && before.f_flag == after.f_flag,
		       "another file system, or other flags");
	scenario_check(pread(fd, text, sizeof text, 0) == 4 && strcmp(text, "text") == 0 &&
			       write(fd, "more", 4) == 4 && access("place/lost+found", F_OK) == 0,
		       "another content");
	scenario_check(pread(removed, text, sizeof text, 0) == 4 && strcmp(text, "kept") == 0 &&
			       access("place/removed", F_OK) != 0,
		       "another file without a name");
	read_options(now);
	scenario_check(strcmp(options, now) == 0, "options %s", now);
	close(removed);
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
