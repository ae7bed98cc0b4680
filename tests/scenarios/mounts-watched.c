// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-watched
 * promise: who watches for all that happens in a file system of the tree, reading too, is dumped
 *	like others, and learns nothing of the dump and the restore: content of files, of one that
 *	was removed and of a named pipe is read, and nobody is told of it afterwards
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static int make_file(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	need(fd >= 0 && write(fd, name, strlen(name)) == (ssize_t)strlen(name), name);
	return fd;
}

static int watch(void)
{
	static const char *const names[] = { "own", "own/folder", "own/file" };
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		need(inotify_add_watch(fd, names[i], IN_ALL_EVENTS) > 0, names[i]);
	return fd;
}

static ssize_t next_event(int fd, struct inotify_event *ret_event)
{
	_Alignas(struct inotify_event) char room[4096];
	ssize_t length = read(fd, room, sizeof room);

	if (length > 0)
		memcpy(ret_event, room, sizeof *ret_event);
	return length;
}

static void check_content(int fd, const char *wanted)
{
	char text[64] = "";

	scenario_check(pread(fd, text, sizeof text - 1, 0) == (ssize_t)strlen(wanted) &&
			       strcmp(text, wanted) == 0,
		       "%s holds \"%s\"", wanted, text);
}

static int inside(void *unused)
{
	struct inotify_event event = { 0 };
	char text[8] = "";

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("own", 0755) == 0 &&
		     mount("own", "own", "tmpfs", 0, "size=1m,mode=755") == 0 &&
		     mkdir("own/folder", 0755) == 0 && mkfifo("own/folder/fifo", 0600) == 0,
	     "mounts");
	int file = make_file("own/file"), removed = make_file("own/removed");
	int fifo = open("own/folder/fifo", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	need(unlink("own/removed") == 0 && write(fifo, "held", 4) == 4, "files");
	int watching = watch();
	scenario_mark("inside");

	scenario_wait_restored();
	ssize_t length = next_event(watching, &event);
	scenario_check(length < 0 && errno == EAGAIN, "watch %d is told of %#x", event.wd,
		       event.mask);
	scenario_check(read(fifo, text, sizeof text) == 4 && strcmp(text, "held") == 0,
		       "the named pipe holds \"%s\"", text);
	check_content(file, "own/file");
	scenario_check(next_event(watching, &event) > 0 && event.mask & IN_ACCESS,
		       "the watch sees nothing of what is read");
	check_content(removed, "own/removed");
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
