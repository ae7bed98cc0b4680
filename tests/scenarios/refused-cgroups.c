// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-cgroups
 * promise: a cgroup namespace whose only task has gone out of its root ("/..") is refused by name,
 *	since nothing tells the root then; the task stays where it is
 * flavours: flat three
 * refused: unsupported-namespace
 */
#include "cgroup-place.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE = 200 };

static bool move_to(const char *place, const char *below)
{
	char path[2 * ROOM];

	snprintf(path, sizeof path, "%s/%s/cgroup.procs", place, below);
	int fd = open(path, O_WRONLY);
	bool done = fd >= 0 && write(fd, "0", 1) == 1;
	if (fd >= 0)
		close(fd);
	return done;
}

static bool is_outside(void)
{
	char line[ROOM];
	bool outside = false;
	FILE *own = fopen("/proc/self/cgroup", "r");

	while (own && fgets(line, sizeof line, own))
		outside |= strstr(line, ":/..") != NULL;
	if (own)
		fclose(own);
	return outside;
}

int main(int argc, char **argv)
{
	char place[ROOM], name[64], path[2 * ROOM];

	scenario_begin(argc, argv);
	scenario_own_name(name, sizeof name);
	scenario_need(find_place(place), "there are no cgroups here");
	snprintf(path, sizeof path, "%s/%s", place, name);
	scenario_need(mkdir(path, 0755) == 0, "cannot make %s: %s", path, strerror(errno));
	scenario_need(move_to(place, name) && unshare(CLONE_NEWCGROUP) == 0 && move_to(place, "."),
		      "cannot go out of a namespace: %s", strerror(errno));
	scenario_need(is_outside(), "it is still inside");

	scenario_ready();

	scenario_check(is_outside(), "it is inside");
	for (int i = 0; i < PATIENCE && rmdir(path) && errno == EBUSY; i++)
		scenario_sleep_ms(10);
	return scenario_end();
}
