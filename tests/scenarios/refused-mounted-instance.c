// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-mounted-instance
 * promise: a mount that shows an instance of tracefs that was removed, which a restore could not
 *	make again, is refused by name, and the tree goes on
 * flavours: flat one
 * needs: initial-user-namespace file:/sys/kernel/tracing/instances
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

static int inside(void *unused)
{
	struct timespec now;
	char path[96];

	(void)unused;
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(path, sizeof path, "/sys/kernel/tracing/instances/gone-%ld-%ld", (long)now.tv_sec,
		 now.tv_nsec);
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("shown", 0755) == 0 && mkdir(path, 0755) == 0 &&
			      mount(path, "shown", NULL, MS_BIND, NULL) == 0 && rmdir(path) == 0,
		      "an instance that was removed: %s", strerror(errno));
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(access("shown", F_OK) == 0 && access("shown/trace", F_OK) < 0,
		       "it shows another one");
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
