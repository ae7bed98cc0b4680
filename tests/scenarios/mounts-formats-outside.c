// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-formats-outside
 * promise: a binfmt_misc that the tree alone has mounted, with a format in it that is everybody's,
 *	is refused by name, and so is one of a user namespace with a format whose open interpreter
 *	is nowhere to be found
 * flavours: flat
 * needs: initial-user-namespace pagemap_scan
 * alone: formats are those of all who have it mounted
 * arguments: everybody open
 * refused: unsupported-mount
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static bool make_program(void)
{
	int fd = open("program", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	return fd >= 0 && write(fd, "#!/bin/true\n", 12) == 12 && close(fd) == 0;
}

static int inside(void *data)
{
	const char *flags = data, remove_it[] = "-1";
	char format[4096], here[2048];

	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("place", 0755) == 0 && make_program() &&
			      getcwd(here, sizeof here) != NULL,
		      "setting up: %s", strerror(errno));
	scenario_need(mount("none", "place", "binfmt_misc", 0, NULL) == 0, "binfmt_misc: %s",
		      strerror(errno));
	int size = snprintf(format, sizeof format, ":nestor-test:E::nestor-test::%s/program:%s",
			    here, flags);
	int fd = open("place/register", O_WRONLY | O_CLOEXEC);
	scenario_need(fd >= 0 && write(fd, format, (size_t)size) == size && close(fd) == 0 &&
			      unlink("program") == 0,
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
	static const struct scenario_users root = { "0 0 1", "0 0 1", true };

	scenario_begin(argc, argv);
	bool open_one = argc == 3 && strcmp(argv[2], "open") == 0;
	pid_t pid = open_one ? scenario_child_users(CLONE_NEWNS, &root, inside, "F")
			     : scenario_child_in(CLONE_NEWNS, inside, "");
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
