// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-loop
 * promise: a file system on a loop device that goes with its last mount (`mount -o loop`) is
 *	mounted again, with a loop device of the same file, part and size, which goes with it
 *	again; also where a part of it hides the whole, where the source that is shown is a
 *	descriptor of whoever mounted it, where it is on a partition, whether the kernel
 *	looks for these or is told, and where the path of the file is one of the tree alone
 * flavours: flat one three
 * arguments: plain descriptor partition told elsewhere
 * needs: initial-user-namespace device:loop-control program:mkfs.ext4
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
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

enum { OFFSET = 1 << 20, SIZE = 4 << 20, FIRST = 1000, COUNT = 1 << 15, SECTOR = 512 };

static const char *variant;
static char device[32], source[48], shown[512];

static bool is(const char *name)
{
	return strcmp(variant, name) == 0;
}

static bool has_partition(void)
{
	return is("partition") || is("told");
}

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

/* One, of Linux, with all that is after the first MiB. */
static void write_table(int file)
{
	unsigned char entry[16] = { [4] = 0x83 }, end[2] = { 0x55, 0xaa };
	unsigned numbers[2] = { OFFSET / SECTOR, SIZE / SECTOR };

	memcpy(entry + 8, numbers, sizeof numbers);
	need(pwrite(file, entry, sizeof entry, 446) == sizeof entry &&
		     pwrite(file, end, sizeof end, 510) == sizeof end,
	     "a table of partitions");
}

static void tell_partition(int loop)
{
	struct blkpg_partition partition = { .start = OFFSET, .length = SIZE, .pno = 1 };
	struct blkpg_ioctl_arg argument = { .op = BLKPG_ADD_PARTITION,
					    .datalen = sizeof partition,
					    .data = &partition };

	/* Some kernels find it by themselves. */
	need(ioctl(loop, BLKPG, &argument) == 0 || (errno == EBUSY && is("partition")), "BLKPG");
}

static struct loop_config configuration(int file)
{
	struct loop_config config = { .fd = (unsigned)file,
				      .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };

	if (is("partition"))
		config.info.lo_flags |= LO_FLAGS_PARTSCAN;
	if (!has_partition()) {
		config.info.lo_offset = OFFSET;
		config.info.lo_sizelimit = SIZE;
	}
	return config;
}

static int open_image(void)
{
	int file = open("image", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	need(file >= 0 && ftruncate(file, OFFSET + 2 * SIZE) == 0 &&
		     system("mkfs.ext4 -q -E offset=1048576 image 4096") == 0,
	     "image");
	write_table(file);
	if (!is("elsewhere"))
		return file;
	close(file);
	need(mkdir("hidden", 0755) == 0 && mount(".", "hidden", NULL, MS_BIND, NULL) == 0, "bind");
	return open("hidden/image", O_RDWR | O_CLOEXEC);
}

/* Open, as it goes otherwise before it is mounted; with the source by which it is. */
static int attach(void)
{
	int file = open_image();
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	need(file >= 0 && control >= 0, "image");
	struct loop_config config = configuration(file);
	snprintf(device, sizeof device, "/dev/loop%d", add_device(control));
	int loop = open(device, O_RDWR | O_CLOEXEC);
	need(loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) == 0, device);
	if (has_partition())
		tell_partition(loop);
	snprintf(source, sizeof source, "%s%s", device, has_partition() ? "p1" : "");
	if (is("descriptor"))
		snprintf(source, sizeof source, "/proc/self/fd/%d", loop);
	close(control);
	close(file);
	return loop;
}

/* What mountinfo shows of the file system. */
static void show(char text[sizeof shown])
{
	char line[4096], *end;
	FILE *file = fopen("/proc/self/mountinfo", "re");

	text[0] = '\0';
	while (file && fgets(line, sizeof line, file))
		if (strstr(line, "/place ") && (end = strstr(line, " - ")))
			snprintf(text, sizeof shown, "%s", end);
	need(text[0], "mountinfo");
	fclose(file);
}

/* It is busy until the kernel has taken it apart. */
static void remove_device(void)
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
	struct stat image, place, node;
	char node_path[48];

	snprintf(node_path, sizeof node_path, "%s%s", device, has_partition() ? "p1" : "");
	need(stat("image", &image) == 0 && stat("place", &place) == 0, "stat");
	scenario_check(stat(node_path, &node) == 0 && node.st_rdev == place.st_dev,
		       "it is not on %s", node_path);
	int fd = open(device, O_RDONLY | O_CLOEXEC);
	scenario_check(fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &info) == 0, "%s: %s", device,
		       strerror(errno));
	struct loop_config config = configuration(-1);
	scenario_check(info.lo_inode == image.st_ino && info.lo_offset == config.info.lo_offset &&
			       info.lo_sizelimit == config.info.lo_sizelimit &&
			       info.lo_flags == config.info.lo_flags,
		       "another loop device");
	close(fd);
}

static int inside(void *unused)
{
	char text[8] = "", now[sizeof shown];

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	int loop = attach();
	need(mkdir("place", 0755) == 0 &&
		     mount(source, "place", "ext4", MS_NOATIME | MS_NODEV, NULL) == 0 &&
		     mkdir("place/part", 0755) == 0 &&
		     mount("place/part", "place", NULL, MS_BIND, NULL) == 0,
	     "mount");
	close(loop);
	int fd = open("place/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	need(fd >= 0 && write(fd, "text", 4) == 4, "file");
	check_device();
	show(shown);
	scenario_mark("inside");

	scenario_wait_restored();
	scenario_check(pread(fd, text, sizeof text, 0) == 4 && strcmp(text, "text") == 0 &&
			       write(fd, "more", 4) == 4,
		       "another content");
	check_device();
	show(now);
	scenario_check(strcmp(shown, now) == 0, "shown as %s", now);
	close(fd);
	scenario_check(umount2("place", 0) == 0 && access("place/part/file", F_OK) == 0 &&
			       umount2("place", 0) == 0,
		       "umount: %s", strerror(errno));
	remove_device();
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	variant = argv[2];
	pid_t pid = scenario_child_in(CLONE_NEWNS, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
