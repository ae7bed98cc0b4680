// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-cgroup-members
 * promise: whoever has the list of a cgroup's processes open to move one there, as systemd does
 *	with every service that it starts, is waited for until it has closed it; the next one that
 *	it opens after the restore moves it
 * flavours: flat three
 * needs: initial-user-namespace
 * unseen: it lasts a moment only
 * ignore: fd
 */
#include "cgroup-place.h"
#include "scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { A_MOMENT = 700 };

static int open_members(const char *folder)
{
	char path[4 * ROOM];

	snprintf(path, sizeof path, "%s/cgroup.procs", folder);
	return open(path, O_WRONLY | O_CLOEXEC);
}

static bool is_in(const char *name)
{
	char line[ROOM];
	bool found = false;
	FILE *own = fopen("/proc/self/cgroup", "re");

	while (own && fgets(line, sizeof line, own))
		found |= strstr(line, name) != NULL;
	if (own)
		fclose(own);
	return found;
}

/* In and out again: nothing of it is left. */
static int mover(void *data)
{
	const char *place = data;
	char name[64], folder[2 * ROOM];

	scenario_own_name(name, sizeof name);
	snprintf(folder, sizeof folder, "%s/%s", place, name);
	scenario_need(mkdir(folder, 0755) == 0, "a cgroup");
	int into = open_members(folder), back = open_members(place);
	scenario_need(into >= 0 && back >= 0, "no list of processes");
	scenario_mark("open");
	scenario_sleep_ms(A_MOMENT);
	scenario_check(write(into, "0", 1) == 1 && is_in(name), "not moved");
	scenario_check(write(back, "0", 1) == 1 && !is_in(name), "not moved back");
	close(into);
	close(back);
	scenario_wait_restored();
	mkdir(folder, 0755); /* what is empty is not made again */
	into = open_members(folder), back = open_members(place);
	scenario_check(write(into, "0", 1) == 1 && is_in(name), "not moved after the restore");
	scenario_check(write(back, "0", 1) == 1 && !is_in(name), "not moved back after it");
	close(into);
	close(back);
	scenario_check(rmdir(folder) == 0, "the cgroup is in use");
	return 0;
}

int main(int argc, char **argv)
{
	char place[ROOM];

	scenario_begin(argc, argv);
	scenario_need(find_place(place), "there are no cgroups here");
	pid_t child = scenario_child(mover, place);
	scenario_wait_mark("open");

	scenario_ready();

	scenario_reap(child);
	return scenario_end();
}
