// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-held-gone
 * promise: what opened a namespace by a mount of nsfs that is gone has that namespace
 * flavours: flat one three user user-three
 * ignore: fd
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static void mount_new(void)
{
	need(unshare(CLONE_NEWUTS) == 0 && sethostname("held", 4) == 0, "uts");
	need(mknod("name", S_IFREG | 0600, 0) == 0 &&
		     mount("/proc/self/ns/uts", "name", NULL, MS_BIND, NULL) == 0,
	     "name");
}

static int open_and_leave(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		mount_new();
		_exit(0);
	}
	need(pid > 0, "fork");
	scenario_reap(pid);
	int fd = open("name", O_RDONLY | O_CLOEXEC);
	need(fd >= 0 && umount2("name", MNT_DETACH) == 0, "umount");
	return fd;
}

static void check(int fd)
{
	char name[64] = "";
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(setns(fd, CLONE_NEWUTS) == 0 && gethostname(name, sizeof name) == 0 &&
				      strcmp(name, "held") == 0
			      ? 0
			      : 1);
	scenario_check(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0,
		       "it shows another namespace");
	scenario_check(ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWUTS, "it has another type");
}

static int inside(void *unused)
{
	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	int fd = open_and_leave();
	check(fd);
	scenario_mark("inside");
	scenario_wait_restored();
	check(fd);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
