// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-mounted-cgroup
 * promise: a mount that shows the directory of a cgroup that was removed, also where there is
 *	another one of its name by now, is refused by name, and the tree goes on
 * flavours: flat one
 * needs: initial-user-namespace
 * arguments: gone replaced
 * refused: unsupported-mount
 */
#include "scenario.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool replaced;

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static int inside(void *unused)
{
	struct timespec now;
	char path[64];

	(void)unused;
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(path, sizeof path, "cgroups/gone-%ld-%ld", (long)now.tv_sec, now.tv_nsec);
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     mkdir("cgroups", 0755) == 0 && mkdir("shown", 0755) == 0 &&
		     mount("own", "cgroups", "cgroup2", 0, NULL) == 0 && mkdir(path, 0755) == 0 &&
		     mount(path, "shown", NULL, MS_BIND, NULL) == 0 && rmdir(path) == 0 &&
		     (!replaced || mkdir(path, 0755) == 0),
	     "a cgroup that was removed");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(access("shown/cgroup.procs", F_OK) < 0 && access("shown", F_OK) == 0,
		       "it shows another one");
	if (replaced)
		rmdir(path);
	return 0;
}

int main(int argc, char **argv)
{
	replaced = argc > 2 && strcmp(argv[2], "replaced") == 0;
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
