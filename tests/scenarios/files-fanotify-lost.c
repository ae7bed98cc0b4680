// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-fanotify-lost
 * promise: where events of fanotify that nobody has read may be lost, they are, and the group and
 *	its marks go on
 * options: --force-lost fanotify-events
 * needs: initial-user-namespace
 * flavours: flat one three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

/* 0: there is none. */
static uint64_t next_of(int group, int *ret_fd)
{
	struct fanotify_event_metadata event;

	*ret_fd = -1;
	if (read(group, &event, sizeof event) != (ssize_t)sizeof event)
		return 0;
	*ret_fd = event.fd;
	return event.mask;
}

static void touch(const char *name)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC);

	scenario_check(fd >= 0 && write(fd, "x", 1) == 1, "cannot write %s", name);
	close(fd);
}

static int new_group(uint64_t mask, const char *name)
{
	int group = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY);

	close(open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	scenario_need(group >= 0 && fanotify_mark(group, FAN_MARK_ADD, mask, AT_FDCWD, name) == 0,
		      "no mark: %s", strerror(errno));
	return group;
}

int main(int argc, char **argv)
{
	int fd;

	scenario_begin(argc, argv);
	int told = new_group(FAN_MODIFY | FAN_CLOSE_WRITE, "watched");
	touch("watched");

	scenario_ready();

	/* Who was only looked at has its events still, and none is told twice. */
	uint64_t mask = next_of(told, &fd);
	close(fd);
	scenario_check(!mask || mask == (FAN_MODIFY | FAN_CLOSE_WRITE), "event %#llx",
		       (unsigned long long)mask);
	scenario_check(!next_of(told, &fd) && errno == EAGAIN, "another event");
	touch("watched");
	mask = next_of(told, &fd);
	close(fd);
	scenario_check(mask == (FAN_MODIFY | FAN_CLOSE_WRITE), "event %#llx after that",
		       (unsigned long long)mask);

	return scenario_end();
}
