// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-unlinked-frozen
 * promise: unlinked files, also of directories that are gone, come back where all mounts that show
 *	them are read-only by now, each on its own, and these stay so
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
#include <sys/statvfs.h>
#include <unistd.h>

enum { FILES = 4 };

static const char *const names[FILES] = { "frozen/file", "frozen/gone/below/file", "bound/other",
					  "bound/shut" };

static void link_of(int fd, char link[PATH_MAX])
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, link, PATH_MAX - 1);
	link[length > 0 ? length : 0] = '\0';
}

static void need_mounts(void)
{
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("frozen", 0700) == 0 && mkdir("bound", 0700) == 0 &&
			      mount("frozen", "frozen", "tmpfs", 0, NULL) == 0 &&
			      mount(NULL, "frozen", NULL, MS_SHARED, NULL) == 0 &&
			      mount("frozen", "bound", NULL, MS_BIND, NULL) == 0 &&
			      mkdir("frozen/gone", 0700) == 0 &&
			      mkdir("frozen/gone/below", 0700) == 0,
		      "no mounts");
}

static int open_unlinked(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT, 0640);

	scenario_need(fd >= 0 && write(fd, name, strlen(name)) > 0, "no %s", name);
	close(fd);
	fd = open(name, O_RDONLY);
	scenario_need(fd >= 0 && unlink(name) == 0, "not unlinked: %s", name);
	return fd;
}

static void freeze(void)
{
	scenario_need(rmdir("frozen/gone/below") == 0 && rmdir("frozen/gone") == 0 &&
			      mount(NULL, "frozen", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) ==
				      0 &&
			      mount(NULL, "bound", NULL,
				    MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID, NULL) == 0,
		      "not read-only");
}

static void check(int fd, const char *name, const char *before)
{
	char after[PATH_MAX], content[64] = "";
	struct stat stat;
	struct statvfs fs;

	link_of(fd, after);
	scenario_check(strcmp(before, after) == 0, "%s was %s", after, before);
	scenario_check(fstat(fd, &stat) == 0 && stat.st_nlink == 0 &&
			       (stat.st_mode & 07777) == 0640,
		       "%s: links %d, mode %o", name, (int)stat.st_nlink, stat.st_mode);
	scenario_check(pread(fd, content, sizeof content - 1, 0) == (ssize_t)strlen(name) &&
			       strcmp(content, name) == 0,
		       "%s has \"%s\"", name, content);
	scenario_check(fstatvfs(fd, &fs) == 0 && fs.f_flag & ST_RDONLY &&
			       !(fs.f_flag & ST_NOSUID) == (name[0] == 'f'),
		       "%s: flags %#lx", name, fs.f_flag);
	scenario_check(fchmod(fd, 0600) < 0 && errno == EROFS, "%s can be changed", name);
	scenario_check(access(name, F_OK) < 0 && errno == ENOENT, "%s has its name", name);
}

static int apart(void *unused)
{
	char before[FILES][PATH_MAX];
	int fds[FILES];

	(void)unused;
	need_mounts();
	for (int i = 0; i < FILES; i++)
		fds[i] = open_unlinked(names[i]);
	char *mapped = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fds[0], 0);
	scenario_need(mapped != MAP_FAILED, "mmap");
	freeze();
	for (int i = 0; i < FILES; i++)
		link_of(fds[i], before[i]);
	scenario_mark("looked");
	scenario_wait_restored();
	for (int i = 0; i < FILES; i++)
		check(fds[i], names[i], before[i]);
	scenario_check(memcmp(mapped, names[0], strlen(names[0])) == 0, "what is mapped is else");
	scenario_check(open("frozen/new", O_RDWR | O_CREAT, 0600) < 0 && errno == EROFS &&
			       open("bound/new", O_RDWR | O_CREAT, 0600) < 0 && errno == EROFS,
		       "a mount can be written to");
	scenario_check(access("frozen/gone", F_OK) < 0, "a directory is left");
	scenario_check(mount(NULL, "frozen", NULL, MS_BIND | MS_REMOUNT, NULL) == 0 &&
			       open("frozen/new", O_RDWR | O_CREAT, 0600) >= 0,
		       "the file system is read-only");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t child = scenario_child(apart, NULL);
	scenario_wait_mark("looked");

	scenario_ready();

	scenario_reap(child);
	return scenario_end();
}
