// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-unlinked-read-only
 * promise: an unlinked file that is open and mapped by way of a read-only mount alone, as a library
 *	that was replaced while a service has it, comes back there, and the mount stays read-only
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void link_of(int fd, char link[PATH_MAX])
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, link, PATH_MAX - 1);
	link[length > 0 ? length : 0] = '\0';
}

static void mount_read_only(const char *directory)
{
	scenario_need(
		unshare(CLONE_NEWNS) == 0 &&
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			mount(directory, directory, NULL, MS_BIND, NULL) == 0 &&
			mount(NULL, directory, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0,
		"no read-only mount");
}

static void check(int fd, const char *mapped, const char *path, const char *before)
{
	char after[PATH_MAX], content[4] = "";
	struct stat stat;

	link_of(fd, after);
	scenario_check(strcmp(before, after) == 0, "%s was %s", after, before);
	scenario_check(fstat(fd, &stat) == 0 && stat.st_nlink == 0, "it has a name");
	scenario_check(pread(fd, content, 3, 0) == 3 && strcmp(content, "old") == 0 &&
			       memcmp(mapped, "old", 3) == 0,
		       "its content is another");
	scenario_check(open(path, O_RDWR | O_CREAT, 0600) < 0 && errno == EROFS,
		       "the mount can be written to");
	scenario_check(access("fixed/library", F_OK) < 0, "a name is left");
}

static int service(void *unused)
{
	char directory[PATH_MAX - 16], path[PATH_MAX], before[PATH_MAX];

	(void)unused;
	scenario_need(getcwd(directory, sizeof directory - sizeof "/fixed") != NULL,
		      "where are we?");
	strcat(directory, "/fixed");
	snprintf(path, sizeof path, "%s/library", directory);
	mount_read_only(directory);
	int fd = open(path, O_RDONLY);
	char *mapped = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	scenario_need(fd >= 0 && mapped != MAP_FAILED, "not open");
	scenario_mark("opened");
	scenario_wait_mark("unlinked");
	link_of(fd, before);
	scenario_mark("looked");
	scenario_wait_restored();
	check(fd, mapped, path, before);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	scenario_need(mkdir("fixed", 0700) == 0, "no directory");
	int fd = open("fixed/library", O_RDWR | O_CREAT, 0644);
	scenario_need(pwrite(fd, "old", 3, 0) == 3, "cannot write");
	close(fd);
	pid_t child = scenario_child(service, NULL);
	scenario_wait_mark("opened");
	scenario_need(unlink("fixed/library") == 0, "cannot unlink");
	scenario_mark("unlinked");
	scenario_wait_mark("looked");

	scenario_ready();

	scenario_reap(child);
	return scenario_end();
}
