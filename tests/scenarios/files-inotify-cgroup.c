// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-inotify-cgroup
 * promise: whoever watches files of cgroups that it then removes, as systemd does, is waited for
 *	until it has ended the watch of what is gone
 * flavours: flat three
 * needs: initial-user-namespace
 * unseen: it lasts a moment only
 */
#include "cgroup-place.h"
#include "scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { A_MOMENT = 700 };

static int watcher(void *data)
{
	char path[2 * ROOM], events[ROOM];
	const char *folder = data;
	int group = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	snprintf(path, sizeof path, "%s/cgroup.events", folder);
	scenario_need(mkdir(folder, 0755) == 0, "a cgroup");
	int watch = inotify_add_watch(group, path, IN_MODIFY);
	scenario_need(watch > 0 && rmdir(folder) == 0, "a watch of what is gone");
	scenario_mark("gone");
	scenario_sleep_ms(A_MOMENT);
	scenario_check(inotify_rm_watch(group, watch) == 0,
		       "the watch is gone before it was ended");
	/* That is told, and has to be read. */
	scenario_check(read(group, events, sizeof events) > 0, "the end of a watch is not told");
	scenario_wait_restored();
	scenario_check(inotify_rm_watch(group, watch) < 0 && errno == EINVAL, "it watches still");
	ssize_t size = read(group, events, sizeof events);
	scenario_check(size == -1 && errno == EAGAIN, "an event after the restore");
	return 0;
}

int main(int argc, char **argv)
{
	char folder[ROOM], name[2 * ROOM];

	scenario_begin(argc, argv);
	scenario_need(find_hierarchy(folder), "no cgroup2 is mounted");
	snprintf(name, sizeof name, "%s/nestor-watched-%d", folder, getpid());
	pid_t child = scenario_child(watcher, name);
	scenario_wait_mark("gone");

	scenario_ready();

	scenario_reap(child);
	return scenario_end();
}
