// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-fuse-written
 * promise: what was written to a file system whose driver is in the tree (FUSE), and which the
 *	kernel keeps back for a while (writeback cache), gets to the driver before it is dumped; the
 *	kernel knows size and times as before, and goes on writing later
 * flavours: flat three user user-three
 * needs: kernel_memory device:fuse
 * options: --enable-fs fuse
 * ignore: maps
 * not-shifted: who fills memory asks the driver, which has no number for him
 * rounds: 2
 * unseen: what is written later is only in the way of who stops the driver
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096 };

static const char content[] = "fs/by-app/one/content", pages[] = "fs/by-app/one/pages";

/* What the driver has, whatever the kernel may have. */
static void check_driver(const char *path, off_t at, const char *wanted)
{
	char *room = aligned_alloc(PAGE, PAGE);
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ssize_t size = pread(fd, room, PAGE, at);

	scenario_check(size >= (ssize_t)strlen(wanted) && !memcmp(room, wanted, strlen(wanted)),
		       "%s: the driver has \"%.20s\" (%s), not \"%s\"", path, size > 0 ? room : "",
		       strerror(errno), wanted);
	close(fd);
	free(room);
}

static void write_there(int fd, const char *text)
{
	scenario_check(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "write: %s",
		       strerror(errno));
}

static int inside(void *unused)
{
	struct stat before, after;

	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	add_pages(2);
	pid_t driver = serve_fs();
	int fd = open(content, O_RDWR | O_CLOEXEC), pages_fd = open(pages, O_RDWR | O_CLOEXEC);
	char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, pages_fd, PAGE);
	scenario_need(fd >= 0 && memory != MAP_FAILED, "open: %s", strerror(errno));
	memcpy(memory, "shared", 6);
	write_there(fd, "written later");
	scenario_need(fstat(fd, &before) == 0 && before.st_size == 13, "size");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(fstat(fd, &after) == 0 && after.st_size == 13 &&
			       after.st_mtim.tv_sec == before.st_mtim.tv_sec &&
			       after.st_mtim.tv_nsec == before.st_mtim.tv_nsec,
		       "size %jd, time %jd.%09ld", (intmax_t)after.st_size,
		       (intmax_t)after.st_mtim.tv_sec, after.st_mtim.tv_nsec);
	check_driver(content, 0, "written later");
	check_driver(pages, PAGE, "shared");
	write_there(fd, ", and more");
	memcpy(memory, "SHARED", 6);
	scenario_check(fsync(fd) == 0 && msync(memory, PAGE, MS_SYNC) == 0, "sync: %s",
		       strerror(errno));
	check_driver(content, 0, "written later, and more");
	check_driver(pages, PAGE, "SHARED");
	munmap(memory, PAGE);
	close(fd);
	close(pages_fd);
	umount2("fs", MNT_DETACH);
	scenario_reap(driver);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	more_flags = FUSE_WRITEBACK_CACHE;
	pid_t pid = scenario_child_in(CLONE_NEWNS, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
