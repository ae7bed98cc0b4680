// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-mounted-file
 * promise: a removed file of the host that is mounted in the tree, and open by another mount too,
 *	would become two: it is refused by name, and goes on
 * flavours: flat three
 * needs: initial-user-namespace
 * refused: unsupported-file
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
	char byte = 0;

	(void)unused;
	int fd = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	scenario_need(fd >= 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mknod("place", S_IFREG | 0600, 0) == 0 &&
			      mount("file", "place", NULL, MS_BIND, NULL) == 0 &&
			      unlink("file") == 0,
		      "setting up: %s", strerror(errno));
	scenario_mark("inside");
	scenario_wait_restored();
	int other = open("place", O_RDONLY | O_CLOEXEC);
	scenario_check(pwrite(fd, "x", 1, 0) == 1 && pread(other, &byte, 1, 0) == 1 && byte == 'x',
		       "they are two files");
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
