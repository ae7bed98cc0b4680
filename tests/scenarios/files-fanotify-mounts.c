// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-fanotify-mounts
 * promise: who watches a mount, or a whole file system, of a namespace of the tree is told of the
 *	same as before, and of nothing else: not of what the restore does, nor by other mounts
 * flavours: flat fresh one three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static void touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	scenario_check(fd >= 0 && write(fd, "x", 1) == 1, "cannot write to %s", path);
	close(fd);
}

static int watch(unsigned of_what, uint64_t mask, uint64_t left_out, const char *path)
{
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);

	need(fd >= 0 && fanotify_mark(fd, FAN_MARK_ADD | of_what, mask, AT_FDCWD, path) == 0, path);
	need(!left_out || fanotify_mark(fd,
					FAN_MARK_ADD | FAN_MARK_IGNORED_MASK |
						FAN_MARK_IGNORED_SURV_MODIFY | of_what,
					left_out, AT_FDCWD, path) == 0,
	     path);
	return fd;
}

/* All that it has been told; 0: nothing. */
static uint64_t told(int fd)
{
	struct fanotify_event_metadata event;
	uint64_t all = 0;

	while (read(fd, &event, sizeof event) == sizeof event) {
		all |= event.mask;
		close(event.fd);
	}
	return all;
}

static void check_told(int fd, uint64_t wanted, const char *what)
{
	uint64_t is = told(fd);

	scenario_check(is == wanted, "%s: is told %#jx, not %#jx", what, (uintmax_t)is,
		       (uintmax_t)wanted);
}

static int inside(void *unused)
{
	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("own", 0755) == 0 &&
		     mkdir("same", 0755) == 0 && mkdir("other", 0755) == 0 &&
		     mount("own", "own", "tmpfs", 0, "size=1m,mode=755") == 0 &&
		     mkdir("own/part", 0755) == 0 &&
		     mount("own/part", "same", NULL, MS_BIND, NULL) == 0 &&
		     mount("other", "other", "tmpfs", 0, "size=1m,mode=755") == 0,
	     "mounts");
	touch("own/part/file");
	int by_mount = watch(FAN_MARK_MOUNT, FAN_MODIFY | FAN_CLOSE_WRITE, 0, "same");
	int by_file_system =
		watch(FAN_MARK_FILESYSTEM, FAN_MODIFY | FAN_CLOSE_WRITE, FAN_MODIFY, "own");
	scenario_mark("inside");

	scenario_wait_restored();
	check_told(by_mount, 0, "the mount, by the restore");
	check_told(by_file_system, 0, "the file system, by the restore");
	touch("other/file");
	touch("own/part/file");
	check_told(by_mount, 0, "the mount, of another one");
	check_told(by_file_system, FAN_CLOSE_WRITE, "the file system, but what it leaves out");
	touch("same/file");
	check_told(by_mount, FAN_MODIFY | FAN_CLOSE_WRITE, "the mount");
	check_told(by_file_system, FAN_CLOSE_WRITE, "the file system, by its other mount");
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
