// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-inotify
 * promise: inotify watches directories and files as before, under the same numbers: also what was
 *	moved since, or has no name any more; once only, and with the events that were asked for
 * flavours: flat fresh one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static int watch(int fd, const char *path, uint32_t mask)
{
	int number = inotify_add_watch(fd, path, mask);

	scenario_need(number > 0, "cannot watch %s", path);
	return number;
}

static void make(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

	scenario_check(fd >= 0 && write(fd, "x", 1) == 1, "cannot write to %s", path);
	close(fd);
}

/* The next event; false if there is none. */
static bool next(int fd, struct inotify_event *ret_event, char name[64])
{
	static char buffer[4096];
	static ssize_t length, at;

	name[0] = '\0';
	if (at == length) {
		at = 0;
		length = read(fd, buffer, sizeof buffer);
		if (length <= 0) {
			length = 0;
			return false;
		}
	}
	memcpy(ret_event, buffer + at, sizeof *ret_event);
	if (ret_event->len)
		snprintf(name, 64, "%.63s", buffer + at + sizeof *ret_event);
	at += (ssize_t)(sizeof *ret_event + ret_event->len);
	return true;
}

static void check_next(int fd, int number, uint32_t mask, const char *name)
{
	struct inotify_event event = { 0 };
	char got[64];

	if (!next(fd, &event, got)) {
		scenario_check(false, "no event of watch %d", number);
		return;
	}
	scenario_check(event.wd == number && event.mask == mask && strcmp(got, name) == 0,
		       "event of watch %d, mask %#x, name %s; expected %d, %#x, %s", event.wd,
		       event.mask, got, number, mask, name);
}

int main(int argc, char **argv)
{
	struct inotify_event event;
	char name[64];

	scenario_begin(argc, argv);
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	scenario_need(fd >= 0, "inotify");
	mkdir("directory", 0700);
	mkdir("gone", 0700);
	make("moved");
	make("nameless");
	make("once");
	make("lost");
	int lost = watch(fd, "lost", IN_MODIFY);
	int directory = watch(fd, "directory", IN_CREATE | IN_DELETE | IN_ONLYDIR);
	int moved = watch(fd, "moved", IN_MODIFY);
	int nameless = watch(fd, "nameless", IN_MODIFY);
	int once = watch(fd, "once", IN_MODIFY | IN_ONESHOT);
	int open_file = open("nameless", O_WRONLY);
	rename("moved", "directory/moved-here");
	unlink("nameless");
	inotify_rm_watch(fd, lost);
	while (next(fd, &event, name))
		;

	scenario_ready();

	scenario_check(!next(fd, &event, name) && errno == EAGAIN,
		       "an event of the restore: watch %d, mask %#x %s", event.wd, event.mask,
		       name);
	make("directory/new");
	check_next(fd, directory, IN_CREATE, "new");
	make("directory/moved-here");
	check_next(fd, moved, IN_MODIFY, "");
	scenario_check(write(open_file, "y", 1) == 1, "cannot write to the nameless file");
	check_next(fd, nameless, IN_MODIFY, "");
	make("once");
	make("once");
	check_next(fd, once, IN_MODIFY, "");
	check_next(fd, once, IN_IGNORED, "");
	make("lost");
	scenario_check(!next(fd, &event, name), "an event that nobody asked for: watch %d, %#x",
		       event.wd, event.mask);
	scenario_check(watch(fd, "lost", IN_MODIFY) > once, "a number that another watch has");
	return scenario_end();
}
