// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-copied
 * promise: mount namespaces that began as a copy of the one outside come back with all their
 *	mounts, flags and working directories, below each other with user and pid namespaces, each
 *	with the /proc of its own pid namespace; what its owner could not unmount or make writable
 *	cannot be afterwards, and what could be can be
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct scenario_users root_inside = { "0 0 1", "0 0 1", true };

static void be_private(void)
{
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private: %s",
		      strerror(errno));
}

static void mount_proc(void)
{
	scenario_need(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0,
		      "proc: %s", strerror(errno));
}

/* /proc is that of the own pid namespace: it shows us by the number that we know. */
static void check_proc(const char *who)
{
	char link[32];
	ssize_t size = readlink("/proc/self", link, sizeof link - 1);

	link[size > 0 ? size : 0] = '\0';
	scenario_check(atoi(link) == getpid(), "%s: /proc/self is %s, pid %d", who, link, getpid());
}

/* What the owner of a copy may do is tried in a copy of the copy. */
static int expect_locks(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_NEWNS) == 0, "cannot unshare");
	be_private();
	scenario_check(umount2("/dev", MNT_DETACH) == -1 && errno == EINVAL,
		       "a mount of the outside can be taken away");
	scenario_check(umount2("own", MNT_DETACH) == -1 && errno == EINVAL,
		       "what hides a directory can be taken away");
	scenario_check(mount(NULL, "own", NULL, MS_REMOUNT | MS_BIND, NULL) == -1 && errno == EPERM,
		       "what was read-only can be made writable");
	scenario_check(umount2("/proc", MNT_DETACH) == 0, "the own /proc stays: %s",
		       strerror(errno));
	scenario_check(umount2("/proc", MNT_DETACH) == -1 && errno == EINVAL,
		       "the /proc of the outside can be taken away");
	return 0;
}

static void check_inside(const char *who)
{
	check_proc(who);
	scenario_check(open("own/new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) == -1 &&
			       errno == EROFS,
		       "%s: own is writable: %s", who, strerror(errno));
	scenario_reap(scenario_child(expect_locks, NULL));
}

static int inner(void *unused)
{
	(void)unused;
	be_private();
	mount_proc();
	check_inside("inner");
	scenario_mark("inner");
	scenario_wait_restored();
	check_inside("inner");
	return 0;
}

static int outer(void *unused)
{
	int file = open("own", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)unused;
	be_private();
	mount_proc();
	check_inside("outer");
	scenario_need(chdir("own/..") == 0, "cannot change the directory");
	pid_t pid = scenario_child_users(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS, &root_inside,
					 inner, NULL);
	scenario_mark("outer");
	scenario_wait_restored();
	check_inside("outer");
	scenario_check(fchdir(file) == 0 && chdir("..") == 0, "the directory is another one");
	scenario_reap(pid);
	return 0;
}

/* Somebody who owns everything, with a directory mounted over itself, read-only. */
static int around(void *unused)
{
	(void)unused;
	be_private();
	scenario_need(mkdir("own", 0755) == 0 && mount("own", "own", NULL, MS_BIND, NULL) == 0 &&
			      mount(NULL, "own", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0,
		      "own: %s", strerror(errno));
	pid_t pid = scenario_child_users(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS, &root_inside,
					 outer, NULL);
	scenario_wait_mark("outer");
	scenario_wait_mark("inner");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_reap(pid);
	scenario_check(umount("own") == 0, "own stays: %s", strerror(errno));
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, around);
}
