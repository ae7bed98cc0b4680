// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-unread-events
 * promise: a dump waits for a task that is about to read its inotify events
 * unseen: the events are read meanwhile
 * needs: initial-user-namespace
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY = 300 /* milliseconds, in which the dump begins */ };

static int read_late(void *data)
{
	int watches = inotify_init1(IN_NONBLOCK);
	int number = mkdir("folder", 0700) ? -1 : inotify_add_watch(watches, "folder", IN_CREATE);
	char text[16384];

	scenario_need(number > 0, "no watch");
	scenario_need(mkdir("folder/inner", 0700) == 0, "cannot make a folder");
	scenario_mark(data);
	scenario_sleep_ms(BUSY);
	scenario_check(read(watches, text, sizeof text) > 0, "there was no event");
	scenario_wait_restored();
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t child = scenario_child(read_late, "unread");

	scenario_wait_mark("unread");
	scenario_ready();
	scenario_reap(child);
	return scenario_end();
}
