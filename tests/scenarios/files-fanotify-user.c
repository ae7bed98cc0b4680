// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-fanotify-user
 * promise: a fanotify group of somebody without rights does not tell who others are, as before
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { USER = 33, PATIENCE = 5000 };

static int ends[2]; /* a byte each time that it is the other's turn */

static void say(int end)
{
	scenario_need(write(end, "x", 1) == 1, "write");
}

static void hear(int end)
{
	char byte;

	scenario_need(read(end, &byte, 1) == 1, "read");
}

/* Whom the next event names; -1: there is none. */
static int next_pid(int fd)
{
	struct {
		struct fanotify_event_metadata head;
		char rest[512];
	} event;
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	if (poll(&ready, 1, PATIENCE) != 1 ||
	    read(fd, &event, sizeof event) < (ssize_t)sizeof event.head)
		return -1;
	return event.head.pid;
}

static void check_others(int fd)
{
	say(ends[1]);
	int pid = next_pid(fd);
	scenario_check(pid == 0, "what somebody else does names %d", pid);
}

static int watcher(void *unused)
{
	int directory = open("directory", O_RDONLY | O_DIRECTORY);

	(void)unused;
	scenario_need(directory >= 0 && setresgid(USER, USER, USER) == 0 &&
			      setresuid(USER, USER, USER) == 0,
		      "ids of a user");
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_CLOEXEC, O_RDONLY);
	scenario_need(fd >= 0 && fanotify_mark(fd, FAN_MARK_ADD, FAN_MODIFY | FAN_EVENT_ON_CHILD,
					       directory, NULL) == 0,
		      "no fanotify: %s", strerror(errno));
	scenario_need(prctl(PR_SET_DUMPABLE, 1) == 0, "dumpable");
	check_others(fd);
	say(ends[1]);
	hear(ends[1]);
	check_others(fd);
	return 0;
}

static void touch(void)
{
	int fd = open("directory/file", O_WRONLY | O_APPEND);

	scenario_need(fd >= 0 && write(fd, "x", 1) == 1, "cannot write");
	close(fd);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	scenario_need(mkdir("directory", 0777) == 0 && chmod("directory", 0777) == 0, "mkdir");
	close(open("directory/file", O_WRONLY | O_CREAT, 0666));
	scenario_need(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
	pid_t child = scenario_child(watcher, NULL);
	hear(ends[0]);
	touch();
	hear(ends[0]);

	scenario_ready();

	say(ends[0]);
	hear(ends[0]);
	touch();
	scenario_reap(child);
	return scenario_end();
}
