// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-left-behind
 * promise: who has left all mounts behind (pivot_root and a lazy umount, as sandboxes do) keeps its
 *	program, its libraries, its files and its devices, from where others still have them, and
 *	gets at nothing else
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { SEEN = 4 };

static const char own[] = "/own";
static const struct scenario_users root_inside = { "0 0 1", "0 0 1", true };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

/* On an empty file system, with nothing but the directory in which the scenario is. */
static void leave(const char *name)
{
	char state[1024], place[2048];

	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	need(getcwd(state, sizeof state) && mkdir(name, 0755) == 0 &&
		     mount("none", name, "tmpfs", 0, NULL) == 0,
	     name);
	snprintf(place, sizeof place, "%s%s", name, state);
	for (char *slash = place + strlen(name); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		need(mkdir(place, 0755) == 0 || errno == EEXIST, place);
		*slash = '/';
	}
	need(mkdir(place, 0755) == 0 && mount(state, place, NULL, MS_BIND, NULL) == 0, place);
	need(chdir(name) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
		     umount2(".", MNT_DETACH) == 0 && chdir(state) == 0,
	     "pivot_root");
}

static void check_device(int device)
{
	char text[SEEN] = "text";
	const char zeros[SEEN] = "";
	struct stat stat;

	scenario_check(fstat(device, &stat) == 0 && S_ISCHR(stat.st_mode) &&
			       stat.st_rdev == makedev(1, 5) && read(device, text, SEEN) == SEEN &&
			       memcmp(text, zeros, SEEN) == 0,
		       "the device is another one");
}

static int left(void *data)
{
	const char *path = data;
	bool with_device = strcmp(path, own) != 0; /* the container has none */
	int device = with_device ? open("/dev/zero", O_RDONLY | O_CLOEXEC) : -1;
	struct stat before, after;
	char text[SEEN], again[SEEN];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	need(fd >= 0 && read(fd, text, SEEN) == SEEN && fstat(fd, &before) == 0, path);
	need(!with_device || device >= 0, "/dev/zero");
	/* A file system that is made again has another number, which maps shows. */
	const char *area = !with_device ? text : mmap(NULL, SEEN, PROT_READ, MAP_PRIVATE, fd, 0);
	need(area != MAP_FAILED, "mmap");
	leave(strrchr(path, '/') + 1);
	need(access(path, F_OK) < 0 && errno == ENOENT, "it is still there");
	scenario_mark(strrchr(path, '/') + 1);
	scenario_wait_restored();
	scenario_check(fstat(fd, &after) == 0 && after.st_size == before.st_size &&
			       after.st_mode == before.st_mode &&
			       after.st_mtim.tv_sec == before.st_mtim.tv_sec,
		       "the file is another one");
	scenario_check(lseek(fd, 0, SEEK_CUR) == SEEN, "the offset is another one");
	scenario_check(pread(fd, again, SEEN, 0) == SEEN && memcmp(text, again, SEEN) == 0 &&
			       memcmp(text, area, SEEN) == 0,
		       "what is read or mapped is not the file");
	if (with_device)
		check_device(device);
	scenario_check(access(path, F_OK) < 0 && errno == ENOENT, "its directory can be seen");
	scenario_check(openat(fd, "..", O_PATH) < 0 && errno == ENOTDIR, "it leads somewhere");
	return 0;
}

/* One that has a root of its own, in which the other one's file is. */
static int container(void *unused)
{
	(void)unused;
	leave("container");
	int fd = open(own, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	need(fd >= 0 && write(fd, "text", SEEN) == SEEN && close(fd) == 0, own);
	pid_t pid = scenario_child_in(CLONE_NEWNS, left, (void *)own);
	scenario_reap(pid);
	return 0;
}

static int inside(void *unused)
{
	(void)unused;
	pid_t first = scenario_child_in(CLONE_NEWNS, left, (void *)"/etc/passwd");
	pid_t second = scenario_child_in(CLONE_NEWNS, container, NULL);
	scenario_reap(first);
	scenario_reap(second);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child_users(CLONE_NEWUSER | CLONE_NEWNS, &root_inside, inside, NULL);
	scenario_wait_mark("passwd");
	scenario_wait_mark("own");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
