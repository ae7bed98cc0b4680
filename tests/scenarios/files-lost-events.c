// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-lost-events
 * promise: where inotify events that nobody has read may be lost, the instance tells that some
 *	were, and nothing else; its watches go on
 * options: --force-lost inotify-events
 * needs: initial-user-namespace
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct inotify_event next_of(int watches)
{
	union {
		struct inotify_event event;
		char room[512];
	} read_ = { 0 };

	scenario_check(read(watches, &read_, sizeof read_) > 0, "there is no event");
	return read_.event;
}

static void check_told(int watches, int number)
{
	struct inotify_event event = next_of(watches);
	int bytes = -1;

	/* Who was only looked at has it still. */
	scenario_check((event.mask == IN_Q_OVERFLOW && event.wd == -1) ||
			       (event.mask == (IN_CREATE | IN_ISDIR) && event.wd == number),
		       "event %#x of %d", event.mask, event.wd);
	scenario_check(ioctl(watches, FIONREAD, &bytes) == 0 && bytes == 0, "%d bytes more", bytes);
	scenario_check(mkdir("folder/second", 0700) == 0, "cannot make a folder");
	event = next_of(watches);
	scenario_check(event.mask == (IN_CREATE | IN_ISDIR) && event.wd == number,
		       "event %#x of %d", event.mask, event.wd);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int silent = inotify_init1(IN_NONBLOCK), watches = inotify_init1(IN_NONBLOCK);
	int number = mkdir("folder", 0700) ? -1 : inotify_add_watch(watches, "folder", IN_CREATE);
	char byte[64];

	scenario_need(number > 0 && inotify_add_watch(silent, "folder", IN_DELETE) > 0, "no watch");
	scenario_need(mkdir("folder/first", 0700) == 0, "cannot make a folder");

	scenario_ready();

	scenario_check(read(silent, byte, sizeof byte) < 0 && errno == EAGAIN,
		       "it tells something");
	check_told(watches, number);
	return scenario_end();
}
