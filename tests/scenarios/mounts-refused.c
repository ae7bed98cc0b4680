// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-refused
 * promise: a tree with a mount that cannot be made again is refused by name, and goes on:
 *	autofs, a hugetlbfs with a file in it, an overlay of relative layers, mapped ids
 * flavours: flat three
 * needs: initial-user-namespace
 * arguments: autofs hugetlbfs overlay idmapped
 * refused: unsupported-mount
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { USERS = 100 };

static const char *what;

static int mount_autofs(void)
{
	char options[96];
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	snprintf(options, sizeof options, "fd=%d,pgrp=%d,minproto=5,maxproto=5,direct", ends[1],
		 (int)getpgrp());
	int result = mount("auto", "place", "autofs", 0, options);
	close(ends[1]);
	return result;
}

static int mount_hugetlbfs(void)
{
	return mount("none", "place", "hugetlbfs", 0, NULL) ||
			       close(open("place/file", O_CREAT | O_RDWR | O_CLOEXEC, 0600))
		       ? -1
		       : 0;
}

static int mount_overlay(void)
{
	return mkdir("lower", 0755) || mkdir("upper", 0755) || mkdir("work", 0755)
		       ? -1
		       : mount("none", "place", "overlay", 0,
			       "lowerdir=lower,upperdir=upper,workdir=work");
}

/* By a child that shares descriptors: /proc need not know it by the number that it has for us. */
static int open_users(void)
{
	scenario_write_map("self", "setgroups", "deny");
	scenario_write_map("self", "uid_map", "0 0 1");
	scenario_write_map("self", "gid_map", "0 0 1");
	int fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	return dup2(fd, USERS) == USERS && close(fd) == 0 ? 0 : 1;
}

static int mount_idmapped(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_FILES | SIGCHLD, NULL, NULL,
				   NULL, 0);

	if (pid == 0)
		_exit(open_users());
	scenario_reap(pid);
	int fd = open_tree(AT_FDCWD, "/usr", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = USERS };
	int result =
		syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) ||
				move_mount(fd, "", AT_FDCWD, "place", MOVE_MOUNT_F_EMPTY_PATH)
			? -1
			: 0;
	close(fd);
	close(USERS);
	return result;
}

static int inside(void *unused)
{
	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("place", 0755) == 0,
		      "private: %s", strerror(errno));
	int result = strcmp(what, "autofs") == 0      ? mount_autofs()
		     : strcmp(what, "hugetlbfs") == 0 ? mount_hugetlbfs()
		     : strcmp(what, "overlay") == 0   ? mount_overlay()
						      : mount_idmapped();
	scenario_need(result == 0, "%s: %s", what, strerror(errno));
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(umount2("place", MNT_DETACH) == 0, "it is not there: %s", strerror(errno));
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	what = argc == 3 ? argv[2] : "overlay";
	pid_t pid = scenario_child_in(CLONE_NEWNS, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
