// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-fuse-unseen
 * promise: a file system whose driver is in the tree (FUSE) is refused by name where only the
 *	kernel's memory tells what a driver serves, and nobody waits for that, which stands still,
 *	where the path of an open file leads there by now
 * flavours: flat
 * needs: no-kernel_memory device:fuse
 * refused: unsupported-file
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char text[32] = "";

	scenario_begin(argc, argv);
	pid_t driver;
	scenario_need(unshare(CLONE_NEWNS) == 0, "a mount namespace: %s", strerror(errno));
	int fd = cover_by_fs(&driver);

	scenario_ready();

	scenario_check(pread(fd, text, sizeof text - 1, 0) == 5 && strcmp(text, "below") == 0,
		       "\"%s\" is in the file", text);
	close(fd);
	fd = open("covered/content", O_RDONLY | O_CLOEXEC);
	scenario_check(fd >= 0 && read(fd, text, sizeof text - 1) == 6 &&
			       strcmp(text, "before") == 0,
		       "\"%s\" is served", text);
	close(fd);
	kill(driver, SIGKILL);
	waitpid(driver, NULL, 0);
	return scenario_end();
}
