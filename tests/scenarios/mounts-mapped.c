// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-mapped
 * promise: mounts with mapped ids show files as those of the same users and groups as before, of
 *	what is bound from others, of a tmpfs with content, attached nowhere, and hidden by others
 * flavours: flat one three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { USERS = 100, PROCESS };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

/* By a child that shares descriptors: /proc need not know it by the number that it has for us. */
static int open_users(int *go)
{
	char byte;
	int fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC),
	    self = open("/proc/self", O_PATH | O_CLOEXEC);

	if (dup2(fd, USERS) != USERS || dup2(self, PROCESS) != PROCESS || close(fd) || close(self))
		return 1;
	return write(go[1], "", 1) == 1 && read(go[0], &byte, 1) == 1 ? 0 : 1;
}

static void write_map(const char *name, const char *text)
{
	int fd = openat(PROCESS, name, O_WRONLY | O_CLOEXEC);

	need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), name);
	close(fd);
}

static void make_users(const char *uids, const char *gids)
{
	char byte;
	int ends[2], back[2];

	need(pipe2(ends, O_CLOEXEC) == 0 && pipe2(back, O_CLOEXEC) == 0, "pipe");
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_FILES | SIGCHLD, NULL, NULL,
				   NULL, 0);
	if (pid == 0)
		_exit(open_users((int[]){ back[0], ends[1] }));
	need(pid > 0 && read(ends[0], &byte, 1) == 1, "users");
	write_map("uid_map", uids);
	write_map("gid_map", gids);
	close(PROCESS);
	need(write(back[1], "", 1) == 1, "users");
	scenario_reap(pid);
	for (int i = 0; i < 2; i++) {
		close(ends[i]);
		close(back[i]);
	}
}

/* A copy of what is mounted there, with mapped ids. */
static int map_copy(const char *path)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = USERS };
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	need(fd >= 0 && syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes,
				sizeof attributes) == 0,
	     path);
	return fd;
}

static bool is_owned(int dir_fd, const char *path, uid_t uid, gid_t gid)
{
	struct stat stat_;

	return fstatat(dir_fd, path, &stat_, AT_EMPTY_PATH) == 0 && stat_.st_uid == uid &&
	       stat_.st_gid == gid;
}

static bool is_as_mapped(int held, const char *when)
{
	scenario_check(is_owned(AT_FDCWD, "content/one", 100, 200), "%s: plain", when);
	scenario_check(is_owned(AT_FDCWD, "mapped/one", 10100, 20200), "%s: mapped", when);
	scenario_check(is_owned(AT_FDCWD, "mapped/two", 0xfffe, 0xfffe), "%s: not mapped", when);
	scenario_check(is_owned(AT_FDCWD, "bound", 77, 78), "%s: bound", when);
	scenario_check(is_owned(held, "one", 10100, 20200), "%s: held", when);
	return true;
}

static int hides(void *unused)
{
	(void)unused;
	need(mount("over", "mapped", "tmpfs", 0, "size=1m") == 0 &&
		     mount("over", "bound", "tmpfs", 0, "size=1m") == 0,
	     "over");
	scenario_mark("hidden");
	scenario_wait_restored();

	need(umount("mapped") == 0 && umount("bound") == 0, "umount");
	scenario_check(is_owned(AT_FDCWD, "mapped/one", 10100, 20200), "hidden: mapped");
	scenario_check(is_owned(AT_FDCWD, "bound", 77, 78), "hidden: bound");
	return 0;
}

static int inside(void *unused)
{
	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     mkdir("content", 0755) == 0 && mkdir("mapped", 0755) == 0 &&
		     mkdir("bound", 0755) == 0 &&
		     mount("content", "content", "tmpfs", 0, "size=1m") == 0,
	     "content");
	need(mknod("content/one", S_IFREG | 0600, 0) == 0 && chown("content/one", 100, 200) == 0 &&
		     mknod("content/two", S_IFREG | 0600, 0) == 0 &&
		     chown("content/two", 5000, 5000) == 0,
	     "files");
	make_users("100 10100 100\n900 0 1\n", "200 20200 100");
	int fd = map_copy("content"), held = map_copy("content");
	need(move_mount(fd, "", AT_FDCWD, "mapped", MOVE_MOUNT_F_EMPTY_PATH) == 0, "mapped");
	close(fd);
	close(USERS);
	make_users("0 77 1", "0 78 1");
	fd = map_copy("/usr");
	need(move_mount(fd, "", AT_FDCWD, "bound", MOVE_MOUNT_F_EMPTY_PATH) == 0, "bound");
	close(fd);
	close(USERS);
	is_as_mapped(held, "before");
	pid_t pid = scenario_child_in(CLONE_NEWNS, hides, NULL);
	scenario_wait_mark("hidden");
	scenario_mark("inside");
	scenario_wait_restored();

	is_as_mapped(held, "after");
	need(umount2("bound", MNT_DETACH) == 0 && umount2("mapped", MNT_DETACH) == 0, "umount");
	scenario_reap(pid);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
