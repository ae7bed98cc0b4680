// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-overlay-inside
 * promise: overlays whose layers lie in mounts of the tree come back, one upon another too, and one
 *	whose layers are named from such a directory, with what was written and removed in them,
 *	also in a namespace that has the overlay alone, and with layers in a root of its own
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void make_file(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);

	scenario_need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s",
		      path, strerror(errno));
	close(fd);
}

static void check_file(const char *path, const char *text)
{
	char found[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : pread(fd, found, sizeof found, 0);

	scenario_check(size == (ssize_t)strlen(text) && memcmp(found, text, (size_t)size) == 0,
		       "%s is not \"%s\"", path, text);
	if (fd >= 0)
		close(fd);
}

/* Root of a user namespace has its marks in "user." attributes. */
static void mount_overlay(const char *at, const char *options)
{
	char with_user[5 * PATH_MAX];

	snprintf(with_user, sizeof with_user, "%s,userxattr", options);
	scenario_need(mount("overlay", at, "overlay", 0, options) == 0 ||
			      mount("overlay", at, "overlay", 0, with_user) == 0,
		      "%s: %s: %s", at, options, strerror(errno));
}

/* The options of its file system. */
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

/* Has the overlay, and not what it is made of. */
static int live_without_layers(void *data)
{
	(void)data;
	scenario_need(umount2("inside", MNT_DETACH) == 0, "umount: %s", strerror(errno));
	scenario_mark("alone");
	scenario_wait_restored();
	check_file("merged/lower", "lower+");
	make_file("merged/of-the-child", "child");
	scenario_mark("written");
	return 0;
}

/* Its layers lie in the first mount that there is, and nowhere else. */
static int live_in_own_root(void *data)
{
	const int *pipes = data;
	char byte = 'm';

	scenario_need(mkdir("own", 0755) == 0 && mount("own", "own", "tmpfs", 0, "mode=755") == 0 &&
			      chdir("own") == 0 && !mkdir("low", 0755) && !mkdir("up", 0755) &&
			      !mkdir("work", 0755) && !mkdir("merged", 0755),
		      "a root: %s", strerror(errno));
	make_file("low/file", "low");
	scenario_need(syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
			      chdir("/") == 0,
		      "pivot_root: %s", strerror(errno));
	mount_overlay("/merged", "lowerdir=/low,upperdir=/up,workdir=/work");
	make_file("/merged/new", "new");
	scenario_need(write(pipes[1], &byte, 1) == 1 && read(pipes[2], &byte, 1) == 1, "pipes");
	check_file("/merged/file", "low");
	check_file("/merged/new", "new");
	make_file("/merged/newer", "newer");
	check_file("/up/newer", "newer");
	return 0;
}

int main(int argc, char **argv)
{
	char here[PATH_MAX], options[4 * PATH_MAX], before[8192], after[8192], byte;
	int pipes[4];

	scenario_begin(argc, argv);
	scenario_need(getcwd(here, sizeof here) && unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      !mkdir("inside", 0755) && !mkdir("merged", 0755) &&
			      !mkdir("again", 0755) &&
			      mount("layers", "inside", "tmpfs", 0, "mode=755") == 0 &&
			      !mkdir("inside/one", 0755) && !mkdir("inside/upper", 0755) &&
			      !mkdir("inside/work", 0755) && !mkdir("inside/two", 0755) &&
			      !mkdir("inside/seen", 0755) && !symlink("one", "inside/link"),
		      "a mount namespace with a tmpfs: %s", strerror(errno));
	make_file("inside/one/lower", "lower");
	make_file("inside/one/gone", "gone");
	make_file("inside/two/third", "3");
	snprintf(options, sizeof options,
		 "lowerdir=%s/inside/link,upperdir=%s/inside/upper,workdir=%s/inside/work", here,
		 here, here);
	mount_overlay("merged", options);
	snprintf(options, sizeof options, "lowerdir=%s/merged:%s/inside/two", here, here);
	mount_overlay("again", options);
	scenario_need(chdir("inside") == 0, "chdir: %s", strerror(errno));
	mount_overlay("seen", "lowerdir=two:one");
	scenario_need(chdir("..") == 0, "chdir: %s", strerror(errno));
	int fd = open("merged/lower", O_RDWR | O_APPEND | O_CLOEXEC);
	scenario_need(fd >= 0 && write(fd, "+", 1) == 1 && !unlink("merged/gone"), "write");
	read_options("/merged", before, sizeof before);
	pid_t child = scenario_child_in(CLONE_NEWNS, live_without_layers, NULL);
	scenario_wait_mark("alone");
	scenario_need(pipe(pipes) == 0 && pipe(pipes + 2) == 0, "pipes");
	pid_t elsewhere = scenario_child_in(CLONE_NEWNS, live_in_own_root, pipes);
	scenario_need(read(pipes[0], &byte, 1) == 1, "pipe");

	scenario_ready();

	read_options("/merged", after, sizeof after);
	scenario_check(before[0] && strcmp(before, after) == 0, "its options are %s, were %s",
		       after, before);
	scenario_wait_mark("written");
	check_file("merged/of-the-child", "child");
	check_file("inside/upper/of-the-child", "child");
	check_file("inside/one/lower", "lower");
	scenario_check(access("merged/gone", F_OK) < 0 && errno == ENOENT &&
			       access("inside/one/gone", F_OK) == 0,
		       "what was removed is there");
	scenario_check(write(fd, "+", 1) == 1, "the open file cannot be written");
	check_file("inside/upper/lower", "lower++");
	check_file("again/third", "3");
	check_file("inside/seen/third", "3");
	check_file("inside/seen/gone", "gone");
	check_file("again/lower", "lower++");
	scenario_reap(child);
	scenario_check(write(pipes[3], "g", 1) == 1, "pipe");
	scenario_reap(elsewhere);
	return scenario_end();
}
