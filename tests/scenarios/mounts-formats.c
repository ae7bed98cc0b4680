// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-formats
 * promise: a binfmt_misc that the tree alone has mounted, with a format in it, is refused by name
 * flavours: flat
 * needs: initial-user-namespace
 * alone: formats are those of all who have it mounted
 * refused: unsupported-mount
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int inside(void *unused)
{
	static const char format[] = ":nestor-test:E::nestor-test::/bin/true:", remove_it[] = "-1";

	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("place", 0755) == 0 &&
			      mount("none", "place", "binfmt_misc", 0, NULL) == 0,
		      "binfmt_misc: %s", strerror(errno));
	int fd = open("place/register", O_WRONLY | O_CLOEXEC);
	scenario_need(fd >= 0 && write(fd, format, sizeof format - 1) == sizeof format - 1 &&
			      close(fd) == 0,
		      "a format: %s", strerror(errno));
	scenario_mark("inside");
	scenario_wait_restored();
	fd = open("place/nestor-test", O_WRONLY | O_CLOEXEC);
	scenario_check(fd >= 0 && write(fd, remove_it, 2) == 2, "it is not there: %s",
		       strerror(errno));
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
