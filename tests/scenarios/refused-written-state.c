// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-written-state
 * promise: a file of the kernel that keeps what was written to it by one description alone is
 *	refused by name where it is open to write
 * flavours: flat three
 * needs: initial-user-namespace
 * arguments: named mounted
 * refused: unsupported-file
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *path = "/proc/mtrr";

	scenario_begin(argc, argv);
	if (strcmp(argv[2], "mounted") == 0) {
		path = "innocent";
		close(open(path, O_RDONLY | O_CREAT, 0600));
		scenario_need(unshare(CLONE_NEWNS) == 0 &&
				      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
				      mount("/proc/mtrr", path, NULL, MS_BIND, NULL) == 0,
			      "a mount: %s", strerror(errno));
	}
	int fd = open(path, O_RDWR | O_CLOEXEC);
	scenario_need(fd >= 0, "mtrr: %s", strerror(errno));

	scenario_ready();

	scenario_check(fcntl(fd, F_GETFD) == FD_CLOEXEC, "the descriptor is another one");
	return scenario_end();
}
