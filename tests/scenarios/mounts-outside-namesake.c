// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-outside-namesake
 * promise: where a mount is named as lying outside, what another mount namespace of the tree has
 *	mounted at the same path instead comes back with its content, and copies of it are given,
 *	too
 * flavours: flat one three user user-three
 * unseen: it waits for what its restore changes
 * needs: initial-user-namespace
 * options: --external mnt[/mnt]:given
 * restore-options: --external mnt[given]:/usr
 * ignore: mounts
 */
#include "scenario.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static int with_a_copy(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_NEWNS) == 0, "unshare");
	scenario_mark("copied");
	scenario_wait_restored();
	scenario_check(is_there("/mnt/bin") && !is_there("/mnt/outside"), "the copy is not given");
	return 0;
}

static int with_its_own(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_NEWNS) == 0 && umount("/mnt") == 0 &&
			      mount("own", "/mnt", "tmpfs", 0, NULL) == 0 &&
			      mkdir("/mnt/own", 0700) == 0,
		      "no mount of its own");
	scenario_mark("own");
	scenario_wait_restored();
	scenario_check(is_there("/mnt/own") && !is_there("/mnt/bin"), "its own is gone");
	return 0;
}

static int inside(void *unused)
{
	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mount("outside", "/mnt", "tmpfs", 0, NULL) == 0 &&
			      mkdir("/mnt/outside", 0700) == 0,
		      "no mount");
	pid_t copy = scenario_child(with_a_copy, NULL);
	pid_t own = scenario_child(with_its_own, NULL);
	scenario_wait_mark("copied");
	scenario_wait_mark("own");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(is_there("/mnt/bin") && !is_there("/mnt/outside"), "it is not given");
	scenario_reap(copy);
	scenario_reap(own);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
