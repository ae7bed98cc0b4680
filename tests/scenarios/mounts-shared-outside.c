// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-shared-outside
 * promise: what shares mounts with the namespace of nestor goes on doing so, where the caller wants
 *	that (--enable-external-sharing): what one mounts there the other sees
 * flavours: flat
 * needs: initial-user-namespace
 * options: --enable-external-sharing
 * not-fresh: its root is in the mount namespace of nestor
 */
#include "scenario.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static bool mount_marked(const char *place, const char *mark)
{
	return mount("new", place, "tmpfs", 0, NULL) == 0 && mkdir(mark, 0755) == 0;
}

static int inside(void *unused)
{
	(void)unused;
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(mount_marked("shared/in", "shared/in/mark"), "in: %s", strerror(errno));
	scenario_mark("mounted");
	scenario_wait_mark("answered");
	scenario_check(access("shared/out/mark", F_OK) == 0, "what is mounted outside is not seen");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	need(mkdir("shared", 0755) == 0 && mount("shared", "shared", "tmpfs", 0, NULL) == 0 &&
		     mkdir("shared/in", 0755) == 0 && mkdir("shared/out", 0755) == 0 &&
		     mount(NULL, "shared", NULL, MS_SHARED, NULL) == 0,
	     "shared");
	pid_t pid = scenario_child_in(CLONE_NEWNS, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_wait_mark("mounted");
	scenario_check(access("shared/in/mark", F_OK) == 0, "what is mounted inside is not seen");
	scenario_check(mount_marked("shared/out", "shared/out/mark"), "out: %s", strerror(errno));
	scenario_mark("answered");
	scenario_reap(pid);
	scenario_check(umount2("shared/out", 0) == 0 && umount2("shared/in", 0) == 0 &&
			       umount2("shared", 0) == 0,
		       "umount: %s", strerror(errno));
	return scenario_end();
}
