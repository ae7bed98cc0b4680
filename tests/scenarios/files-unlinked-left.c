// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-unlinked-left
 * promise: a file that was mounted on its own name, as by ExecPaths= of a service, and replaced by
 *	somebody in another mount namespace, which takes the mount away, stays open and mapped by a
 *	mount that nobody has, with the flags of that; others have the same file by its old name
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void link_of(int fd, char link[PATH_MAX])
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, link, PATH_MAX - 1);
	link[length > 0 ? length : 0] = '\0';
}

static unsigned long flags_of(int fd)
{
	struct statvfs fs;

	return fstatvfs(fd, &fs) == 0 ? fs.f_flag : 0;
}

static void check_names(void)
{
	struct dirent *entry;
	DIR *directory = opendir(".");

	while (directory && (entry = readdir(directory)))
		scenario_check(strncmp(entry->d_name, ".nestor", 7) != 0, "%s is left",
			       entry->d_name);
	if (directory)
		closedir(directory);
}

static void check(int fd, int named, const char *mapped, unsigned long flags)
{
	char link[PATH_MAX], content[4] = "", self[64];
	struct stat stat, other;

	link_of(fd, link);
	scenario_check(strcmp(link, "/ (deleted)") == 0, "it is %s", link);
	scenario_check(flags_of(fd) == flags, "flags %lx, were %lx", flags_of(fd), flags);
	scenario_check(fstat(fd, &stat) == 0 && fstat(named, &other) == 0 && stat.st_nlink == 0 &&
			       stat.st_ino == other.st_ino,
		       "the file is not one");
	scenario_check(pread(fd, content, 3, 0) == 3 && strcmp(content, "old") == 0 &&
			       memcmp(mapped, "old", 3) == 0,
		       "its content is another");
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	scenario_check(open(self, O_RDWR) < 0 && errno == EROFS, "it can be written to");
	check_names();
}

static int service(void *data)
{
	char link[PATH_MAX];

	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mount("program", "program", NULL, MS_BIND, NULL) == 0 &&
			      mount(NULL, "program", NULL,
				    MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID, NULL) == 0,
		      "no mount of its own");
	int fd = open("program", O_RDONLY);
	char *mapped = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	scenario_need(fd >= 0 && mapped != MAP_FAILED, "not open");
	scenario_mark("opened");
	scenario_wait_mark("replaced");
	link_of(fd, link);
	scenario_need(strcmp(link, "/ (deleted)") == 0, "the mount is there: %s", link);
	unsigned long flags = flags_of(fd);
	scenario_mark("looked");
	scenario_wait_restored();
	check(fd, *(int *)data, mapped, flags);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int named = open("program", O_RDWR | O_CREAT, 0755);
	scenario_need(pwrite(named, "old", 3, 0) == 3, "cannot write");
	pid_t child = scenario_child(service, &named);
	scenario_wait_mark("opened");
	int next = open("next", O_RDWR | O_CREAT, 0755);
	scenario_need(next >= 0 && close(next) == 0 && rename("next", "program") == 0,
		      "cannot replace it");
	scenario_mark("replaced");
	scenario_wait_mark("looked");

	scenario_ready();

	scenario_reap(child);
	return scenario_end();
}
