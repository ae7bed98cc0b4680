// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-loop
 * promise: a file system on a loop device that goes with its last mount (`mount -o loop`) is
 *	mounted again, with a loop device of the same file, part and size, which goes with it
 *	again; also where a part of it hides the whole
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
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { OFFSET = 1 << 20, SIZE = 4 << 20, FIRST = 1000, COUNT = 1 << 15 };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

/* One that nobody is given who asks for any, while this one is gone. */
static int add_device(int control)
{
	unsigned number;
	int added = -1;

	for (int tries = 0; tries < 100 && added < 0; tries++) {
		need(getrandom(&number, sizeof number, 0) == sizeof number, "getrandom");
		added = ioctl(control, LOOP_CTL_ADD, FIRST + number % COUNT);
	}
	need(added >= 0, "a loop device");
	return added;
}

/* Open, as it goes otherwise before it is mounted. */
static int attach(char device[32])
{
	struct loop_config config = { .info = { .lo_offset = OFFSET,
						.lo_sizelimit = SIZE,
						.lo_flags = LO_FLAGS_AUTOCLEAR } };
	int file = open("image", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	need(file >= 0 && ftruncate(file, OFFSET + 2 * SIZE) == 0 &&
		     system("mkfs.ext4 -q -E offset=1048576 image 4096") == 0 && control >= 0,
	     "image");
	config.fd = (unsigned)file;
	snprintf(device, 32, "/dev/loop%d", add_device(control));
	int loop = open(device, O_RDWR | O_CLOEXEC);
	need(loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) == 0, device);
	close(control);
	close(file);
	return loop;
}

/* It is busy until the kernel has taken it apart. */
static void remove_device(const char *device)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), result = -1;

	for (int tries = 0; tries < 500 && result < 0; tries++) {
		result = ioctl(control, LOOP_CTL_REMOVE, atoi(device + strlen("/dev/loop")));
		usleep(result < 0 ? 10000 : 0);
	}
	scenario_check(result >= 0, "%s does not go: %s", device, strerror(errno));
	close(control);
}

static void check_device(void)
{
	struct loop_info64 info;
	struct stat image, place;
	char device[32];

	need(stat("image", &image) == 0 && stat("place", &place) == 0, "stat");
	snprintf(device, sizeof device, "/dev/loop%u", minor(place.st_dev));
	int fd = open(device, O_RDONLY | O_CLOEXEC);
	scenario_check(fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &info) == 0, "%s: %s", device,
		       strerror(errno));
	scenario_check(info.lo_inode == image.st_ino && info.lo_offset == OFFSET &&
			       info.lo_sizelimit == SIZE && info.lo_flags == LO_FLAGS_AUTOCLEAR,
		       "another loop device");
	close(fd);
}

static int inside(void *unused)
{
	char device[32], text[8] = "";

	(void)unused;
	int loop = attach(device);
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("place", 0755) == 0 &&
		     mount(device, "place", "ext4", MS_NOATIME | MS_NODEV, NULL) == 0 &&
		     mkdir("place/part", 0755) == 0 &&
		     mount("place/part", "place", NULL, MS_BIND, NULL) == 0,
	     "mount");
	close(loop);
	int fd = open("place/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	need(fd >= 0 && write(fd, "text", 4) == 4, "file");
	check_device();
	scenario_mark("inside");

	scenario_wait_restored();
	scenario_check(pread(fd, text, sizeof text, 0) == 4 && strcmp(text, "text") == 0 &&
			       write(fd, "more", 4) == 4,
		       "another content");
	check_device();
	close(fd);
	scenario_check(umount2("place", 0) == 0 && access("place/part/file", F_OK) == 0 &&
			       umount2("place", 0) == 0,
		       "umount: %s", strerror(errno));
	remove_device(device);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child_in(CLONE_NEWNS, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
