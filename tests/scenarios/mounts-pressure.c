// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-pressure
 * promise: a file of pressure of a cgroup, mounted by itself under another name as services of
 *	systemd have it, waits for what it waited for
 * options: --force-lost pressure-events
 * needs: initial-user-namespace
 * flavours: flat one three
 */
#include "pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void find_cgroups(char path[4096])
{
	char line[4096], root[512], point[512], type[32];
	FILE *in = fopen("/proc/self/mountinfo", "r");

	path[0] = '\0';
	while (in && !path[0] && fgets(line, sizeof line, in)) {
		char *dash = strstr(line, " - ");
		if (dash && sscanf(line, "%*s %*s %*s %511s %511s", root, point) == 2 &&
		    sscanf(dash + 3, "%31s", type) == 1 && strcmp(type, "cgroup2") == 0)
			snprintf(path, 4096, "%s/memory.pressure", point);
	}
	if (in)
		fclose(in);
	scenario_need(path[0], "no cgroups of version 2");
}

int main(int argc, char **argv)
{
	char path[4096];

	scenario_begin(argc, argv);
	find_cgroups(path);
	close(open("told", O_CREAT | O_WRONLY, 0600));
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mount(path, "told", NULL, MS_BIND, NULL) == 0,
		      "cannot mount %s", path);
	int fd = open("told", O_RDWR | O_NONBLOCK);
	scenario_need(fd >= 0 && write_trigger(fd, "full 1999999 2000000") > 0, "%s: %s", path,
		      strerror(errno));

	scenario_ready();

	scenario_check(told_of_pressure(fd, 0) == 0, "it waits for nothing");
	scenario_check(write_trigger(fd, "some 1999999 2000000") < 0 && errno == EBUSY,
		       "it lets itself be changed: %s", strerror(errno));
	return scenario_end();
}
