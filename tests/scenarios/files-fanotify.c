// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-fanotify
 * promise: a fanotify group has its marks of inodes, with what they leave out, and reports as
 *	before
 * flavours: flat fresh one three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

static void touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

	scenario_check(fd >= 0 && write(fd, "x", 1) == 1, "cannot write to %s", path);
	close(fd);
}

/* The mask of the next event; 0 if there is none. */
static uint64_t next(int fd)
{
	struct fanotify_event_metadata event = { 0 };

	if (read(fd, &event, sizeof event) != sizeof event)
		return 0;
	close(event.fd);
	return event.mask;
}

static bool shows(int fd, const char *what)
{
	char path[64], text[4096] = "";

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	int info = open(path, O_RDONLY);
	bool found = read(info, text, sizeof text - 1) > 0 && strstr(text, what);
	close(info);
	return found;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	mkdir("directory", 0700);
	touch("directory/file");
	touch("directory/quiet");
	touch("directory/left-out");
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
	scenario_need(fd >= 0, "no fanotify");
	scenario_need(fanotify_mark(fd, FAN_MARK_ADD, FAN_MODIFY | FAN_EVENT_ON_CHILD, AT_FDCWD,
				    "directory") == 0 &&
			      fanotify_mark(fd,
					    FAN_MARK_ADD | FAN_MARK_IGNORED_MASK |
						    FAN_MARK_IGNORED_SURV_MODIFY,
					    FAN_MODIFY, AT_FDCWD, "directory/left-out") == 0,
		      "no mark");

	scenario_ready();

	scenario_check(next(fd) == 0 && errno == EAGAIN, "an event of the restore");
	scenario_check(shows(fd, "fanotify flags:2 ") && fcntl(fd, F_GETFD) == 0,
		       "it was made otherwise");
	scenario_check(shows(fd, "mask:8000002 ignored_mask:0") &&
			       shows(fd, "mflags:40 mask:0 ignored_mask:2"),
		       "the marks are others");
	touch("directory/left-out");
	scenario_check(next(fd) == 0, "what was left out is reported");
	touch("directory/file");
	scenario_check(next(fd) == FAN_MODIFY, "what was marked is not reported");
	return scenario_end();
}
