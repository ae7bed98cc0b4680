// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-fuse-asked
 * promise: tasks that at any time wait for an answer of a driver in the tree (FUSE) are stopped
 *	before it is, and none of their questions gets a wrong answer, or an error
 * flavours: flat three user user-three
 * needs: kernel_memory device:fuse
 * rounds: 2
 * unseen: that somebody waits is in the way of who stops them only
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LATE = 15 };

/* Until it is told that all is over; whoever asks is in the call nearly all of the time. */
static int ask(void *name)
{
	int told = 0;

	scenario_mark(name);
	while (access("over", F_OK) < 0) {
		struct stat found;
		int result = stat("fs/by-app/one/content", &found);

		scenario_check(result == 0 && found.st_size == 6 && S_ISREG(found.st_mode),
			       "answer %d: %s", told, strerror(errno));
		told++;
	}
	scenario_check(told > 1, "%d answers", told);
	return 0;
}

static int inside(void *unused)
{
	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	late_by = LATE;
	pid_t driver = serve_fs(), first = scenario_child_in(0, ask, "first");
	pid_t second = scenario_child_in(0, ask, "second");

	scenario_wait_mark("first");
	scenario_wait_mark("second");
	scenario_mark("inside");
	scenario_wait_restored();
	close(open("over", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	scenario_reap(first);
	scenario_reap(second);
	umount2("fs", MNT_DETACH);
	scenario_reap(driver);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
