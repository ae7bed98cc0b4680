// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-fuse-open
 * promise: what is open in a file system whose driver is in the tree (FUSE), or mapped, or the
 *	directory of a task there, is refused where nobody has said that it may be kept
 *	(--enable-fs fuse)
 * flavours: flat
 * needs: kernel_memory device:fuse
 * arguments: file directory mapped
 * refused: unsupported-file
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static const char content[] = "fs/by-app/one/content";

int main(int argc, char **argv)
{
	bool directory = strcmp(argv[2], "directory") == 0;
	int fd = -1, back;

	scenario_begin(argc, argv);
	back = open(".", O_PATH | O_CLOEXEC);
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		      "a mount namespace: %s", strerror(errno));
	pid_t driver = serve_fs();
	fd = directory ? chdir("fs/by-app/one") : open(content, O_RDONLY | O_CLOEXEC);
	scenario_need(fd >= 0, "reach it: %s", strerror(errno));
	if (strcmp(argv[2], "mapped") == 0) {
		scenario_need(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED,
			      "mmap: %s", strerror(errno));
		close(fd);
	}

	scenario_ready();

	scenario_check(directory ? access("content", R_OK) == 0 : access(content, R_OK) == 0,
		       "it is not served: %s", strerror(errno));
	scenario_need(fchdir(back) == 0, "back");
	kill(driver, SIGKILL);
	waitpid(driver, NULL, 0);
	return scenario_end();
}
