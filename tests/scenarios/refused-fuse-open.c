// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-fuse-open
 * promise: what is open in a file system whose driver is in the tree (FUSE), or the directory of a
 *	task there, is refused where nobody has said that it may be kept (--enable-fs fuse)
 * flavours: flat
 * needs: kernel_memory device:fuse
 * arguments: file directory
 * refused: unsupported-file
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

static const char content[] = "fs/by-app/one/content";

int main(int argc, char **argv)
{
	int fd = -1, back;

	scenario_begin(argc, argv);
	back = open(".", O_PATH | O_CLOEXEC);
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		      "a mount namespace: %s", strerror(errno));
	pid_t driver = serve_fs();
	if (strcmp(argv[2], "file") == 0)
		fd = open(content, O_RDONLY | O_CLOEXEC);
	else
		fd = chdir("fs/by-app/one");
	scenario_need(fd >= 0, "reach it: %s", strerror(errno));

	scenario_ready();

	scenario_check(strcmp(argv[2], "file") == 0 ? close(fd) == 0 : access("content", R_OK) == 0,
		       "it is not served: %s", strerror(errno));
	scenario_need(fchdir(back) == 0, "back");
	kill(driver, SIGKILL);
	waitpid(driver, NULL, 0);
	return scenario_end();
}
