// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-inotify-forgotten
 * promise: files are watched on whose names the kernel has forgotten, as it does with what nobody
 *	has looked for in a while: one on a disk, and one of a cgroup
 * flavours: flat three
 * needs: initial-user-namespace
 * alone: the kernel forgets all names that nobody uses
 */
#include "cgroup-place.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE = 5000 };

static const char file[] = "some/where/file";

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static int watch(int group, const char *path)
{
	int number = inotify_add_watch(group, path, IN_MODIFY);

	scenario_need(number > 0, "cannot watch %s", path);
	return number;
}

static void check_event(int group, int number, const char *what)
{
	char events[ROOM];
	struct inotify_event event;

	ssize_t size = read(group, events, sizeof events);
	scenario_check(size >= (ssize_t)sizeof event, "%s: no event", what);
	if (size < (ssize_t)sizeof event)
		return;
	memcpy(&event, events, sizeof event);
	scenario_check(event.wd == number && event.mask == IN_MODIFY, "%s: event %#x of %d", what,
		       event.mask, event.wd);
}

/* Somebody is in it for a moment. */
static int visitor(void *data)
{
	scenario_check(put(data, "0"), "nobody can be in the cgroup");
	return 0;
}

int main(int argc, char **argv)
{
	char hierarchy[ROOM], name[64], folder[2 * ROOM], path[3 * ROOM];

	scenario_begin(argc, argv);
	scenario_own_name(name, sizeof name);
	scenario_need(find_hierarchy(hierarchy), "no cgroup2 is mounted");
	snprintf(folder, sizeof folder, "%s/%s", hierarchy, name);
	scenario_need(mkdir(folder, 0755) == 0 || errno == EEXIST, "a cgroup");
	scenario_need(mkdir("some", 0700) == 0 && mkdir("some/where", 0700) == 0, "directories");
	close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));

	int group = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	int of_file = watch(group, file);
	snprintf(path, sizeof path, "%s/cgroup.events", folder);
	int of_cgroup = watch(group, path);
	scenario_need(put("/proc/sys/vm/drop_caches", "2"), "no names are forgotten here");

	scenario_ready();

	scenario_check(put(file, "x"), "cannot write to %s", file);
	check_event(group, of_file, "the file");
	snprintf(path, sizeof path, "%s/cgroup.procs", folder);
	scenario_reap(scenario_child(visitor, path));
	/* The kernel tells it a moment later. */
	poll(&(struct pollfd){ .fd = group, .events = POLLIN }, 1, PATIENCE);
	check_event(group, of_cgroup, "the cgroup");
	for (int i = 0; i < 200 && rmdir(folder) < 0 && errno == EBUSY; i++)
		scenario_sleep_ms(10);
	return scenario_end();
}
