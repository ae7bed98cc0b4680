// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-overlay-ids
 * promise: overlays with lower layers that were taken from mounts with mapped ids, which are gone,
 *	show the same owners again: below an upper layer, as podman has them for a container in a
 *	user namespace, with a name that is gone, with one that leads to what maps nothing, with
 *	many extents, and where the first mount of it is hidden
 * flavours: flat three
 * needs: kernel_memory initial-user-namespace
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

enum { USERS = 100, SELF, MANY = 12 };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static bool write_map(const char *name, const char *text)
{
	int fd = openat(SELF, name, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return written;
}

/* In its /proc, which may have other numbers. */
static int live_as_users(const int *pipes)
{
	char byte = 'b';
	int self = open("/proc/self", O_PATH | O_CLOEXEC);
	int fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);

	return dup2(self, SELF) != SELF || dup2(fd, USERS) != USERS || close(self) || close(fd) ||
	       write(pipes[1], &byte, 1) != 1 || read(pipes[2], &byte, 1) != 1;
}

/* With these ids, by a child that shares descriptors. */
static void make_users(const char *map)
{
	int pipes[4];
	char byte;

	need(pipe2(pipes, O_CLOEXEC) == 0 && pipe2(pipes + 2, O_CLOEXEC) == 0, "pipes");
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_FILES | SIGCHLD, NULL, NULL,
				   NULL, 0);
	if (pid == 0)
		_exit(live_as_users(pipes));
	need(pid > 0 && read(pipes[0], &byte, 1) == 1 && write_map("uid_map", map) &&
		     write_map("gid_map", map) && write(pipes[3], &byte, 1) == 1,
	     "a user namespace");
	scenario_reap(pid);
	close(SELF);
	for (unsigned i = 0; i < 4; i++)
		close(pipes[i]);
}

/* What is mounted at `to` is `from`, with mapped ids. */
static void bind_mapped(const char *from, const char *to, const char *map)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = USERS };
	int fd = open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	make_users(map);
	need(fd >= 0 &&
		     syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes,
			     sizeof attributes) == 0 &&
		     move_mount(fd, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) == 0,
	     "a mount that maps ids");
	close(fd);
	close(USERS);
}

static void make_many(char *map, size_t size)
{
	size_t length = 0;

	for (unsigned i = 0; i < MANY; i++)
		length += (size_t)snprintf(map + length, size - length, "%u %u 10\n", i * 10,
					   200000 + i * 1000);
}

/* The line of a mount, from its file system on. */
static void read_options(const char *end, char *ret_options, size_t size)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[8192], *options;

	*ret_options = '\0';
	while (file && fgets(line, sizeof line, file)) {
		char *at = strstr(line, end);
		if (at && at[strlen(end)] == ' ' && (options = strstr(at, " - overlay ")))
			snprintf(ret_options, size, "%s", options);
	}
	if (file)
		fclose(file);
}

static void check_owner(const char *path, uid_t owner)
{
	struct stat found = { 0 };

	scenario_check(stat(path, &found) == 0 && found.st_uid == owner && found.st_gid == owner,
		       "%s belongs to %u and %u", path, found.st_uid, found.st_gid);
}

static void check_owners(void)
{
	check_owner("lower/in-it", 0xfffe);
	check_owner("container/in-it", 100100);
	check_owner("container/of-root", 100000);
	check_owner("container/written", 100000);
	check_owner("many/in-it", 210000);
}

static void make_overlays(const char *here)
{
	char options[8 * PATH_MAX], map[1024];

	bind_mapped("layer", "mapped", "0 0 1");
	snprintf(options, sizeof options, "lowerdir=%s/mapped:%s/base", here, here);
	need(mount("overlay", "covered", "overlay", 0, options) == 0 &&
		     mount("covered", "lower", NULL, MS_BIND, NULL) == 0 &&
		     mount("cover", "covered", "tmpfs", 0, NULL) == 0 &&
		     umount2("mapped", MNT_DETACH) == 0,
	     "an overlay of which the first mount is hidden");
	bind_mapped("layer", "store/mapped/0", "0 100000 65536");
	snprintf(options, sizeof options,
		 "lowerdir=%s/store/mapped/0:%s/base,upperdir=%s/store/diff,workdir=%s/store/work",
		 here, here, here, here);
	need(mount("overlay", "container", "overlay", 0, options) == 0 &&
		     umount2("store/mapped/0", MNT_DETACH) == 0 && !rmdir("store/mapped/0") &&
		     !rmdir("store/mapped"),
	     "an overlay with an upper layer");
	make_many(map, sizeof map);
	bind_mapped("layer", "mapped", map);
	snprintf(options, sizeof options, "lowerdir=%s/mapped:%s/base", here, here);
	need(mount("overlay", "many", "overlay", 0, options) == 0 &&
		     umount2("mapped", MNT_DETACH) == 0,
	     "an overlay with many extents");
	int fd = open("container/written", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	need(fd >= 0 && !fchown(fd, 100000, 100000) && !close(fd), "a file");
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "/lower", "/container", "/many" };
	static char before[3][8192], after[8192];
	char here[PATH_MAX];

	scenario_begin(argc, argv);
	need(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     !mkdir("inside", 0755) && mount("i", "inside", "tmpfs", 0, "mode=755") == 0 &&
		     chdir("inside") == 0 && getcwd(here, sizeof here) && !mkdir("layer", 0755) &&
		     !mkdir("mapped", 0755) && !mkdir("base", 0755) && !mkdir("lower", 0755) &&
		     !mkdir("covered", 0755) && !mkdir("container", 0755) && !mkdir("many", 0755) &&
		     !mkdir("store", 0755) && !mkdir("store/diff", 0755) &&
		     !mkdir("store/work", 0755) && !mkdir("store/mapped", 0755) &&
		     !mkdir("store/mapped/0", 0755) && !mknod("layer/in-it", S_IFREG | 0600, 0) &&
		     !mknod("layer/of-root", S_IFREG | 0600, 0) &&
		     chown("layer/in-it", 100, 100) == 0,
	     "a mount namespace");
	make_overlays(here);
	check_owners();
	for (unsigned i = 0; i < 3; i++)
		read_options(names[i], before[i], sizeof before[i]);

	scenario_ready();

	check_owners();
	for (unsigned i = 0; i < 3; i++) {
		read_options(names[i], after, sizeof after);
		scenario_check(*after && strcmp(before[i], after) == 0, "%s is%s", names[i], after);
	}
	int fd = open("container/again", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	scenario_check(fd >= 0 && access("store/diff/again", F_OK) == 0,
		       "what is written is not in the upper layer");
	scenario_check(access("store/mapped", F_OK) < 0 && errno == ENOENT, "a name was left");
	return scenario_end();
}
