// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-overlay-mapped
 * promise: an overlay whose layer was taken from a mount that maps ids, and is gone, is refused by
 *	name: the directory is still there, but shows other owners than the layer does
 * flavours: flat three
 * needs: kernel_memory initial-user-namespace
 * refused: unsupported-mount
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
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

/* What is mounted at `to` is `from`, with mapped ids. */
static void bind_mapped(const char *from, const char *to)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = USERS };
	int fd = open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	need(fd >= 0 &&
		     syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes,
			     sizeof attributes) == 0 &&
		     move_mount(fd, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) == 0,
	     "a mount that maps ids");
	close(fd);
}

int main(int argc, char **argv)
{
	char here[PATH_MAX], options[3 * PATH_MAX];
	struct stat in_layer;

	scenario_begin(argc, argv);
	need(getcwd(here, sizeof here) && unshare(CLONE_NEWNS) == 0 &&
		     mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     !mkdir("layer", 0755) && !mkdir("mapped", 0755) && !mkdir("base", 0755) &&
		     !mkdir("merged", 0755) && !mknod("layer/in-it", S_IFREG | 0600, 0) &&
		     chown("layer/in-it", 100, 100) == 0,
	     "a mount namespace");
	make_users();
	bind_mapped("layer", "mapped");
	close(USERS);
	snprintf(options, sizeof options, "lowerdir=%s/mapped:%s/base", here, here);
	need(mount("overlay", "merged", "overlay", 0, options) == 0 &&
		     umount2("mapped", MNT_DETACH) == 0,
	     "an overlay");

	scenario_ready();

	scenario_check(stat("merged/in-it", &in_layer) == 0 && in_layer.st_uid == 0xfffe,
		       "the overlay is not as it was");
	return scenario_end();
}
