// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-mapped-root
 * promise: a root with mapped ids is read, and comes back, also where it is older than the mount
 *	namespace that it was put into, of which the kernel then tells nothing from outside
 * flavours: flat one
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { USERS = 100 };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return written;
}

/* With nobody in it but root, by a child that shares descriptors. */
static void make_users(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_FILES | SIGCHLD, NULL, NULL,
				   NULL, 0);

	if (pid == 0) {
		int fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
		_exit(!write_file("/proc/self/setgroups", "deny") ||
		      !write_file("/proc/self/uid_map", "0 0 1") ||
		      !write_file("/proc/self/gid_map", "0 0 1") || dup2(fd, USERS) != USERS ||
		      close(fd));
	}
	need(pid > 0, "clone");
	scenario_reap(pid);
}

static int map_root(void)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = USERS };
	int fd = open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	need(fd >= 0 && syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes,
				sizeof attributes) == 0,
	     "a root that maps ids");
	return fd;
}

static bool is_mapped(void)
{
	struct stat ours, theirs;

	return stat("ours", &ours) == 0 && ours.st_uid == 0 && stat("theirs", &theirs) == 0 &&
	       theirs.st_uid == 0xfffe;
}

static int inside(void *unused)
{
	char here[PATH_MAX];

	(void)unused;
	need(getcwd(here, sizeof here) && !mknod("ours", S_IFREG | 0600, 0) &&
		     !mknod("theirs", S_IFREG | 0600, 0) && !chown("theirs", 100, 100),
	     "files");
	make_users();
	int fd = map_root();
	close(USERS);
	need(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
	     "a mount namespace");
	need(!mkdir("place", 0755) &&
		     move_mount(fd, "", AT_FDCWD, "place", MOVE_MOUNT_F_EMPTY_PATH) == 0 &&
		     fchdir(fd) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
		     umount2(".", MNT_DETACH) == 0 && chdir(here) == 0 && is_mapped(),
	     "another root");
	close(fd);
	scenario_mark("inside");

	scenario_wait_restored();
	scenario_check(is_mapped(), "other owners");
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, 0, inside);
}
