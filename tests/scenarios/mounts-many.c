// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-many
 * promise: 300 mounts in five mount namespaces, some on top of each other, some shared, come back
 *	with what is open and has its working directory on them; each namespace takes descriptors
 *	for as long as it is made
 * needs: initial-user-namespace
 * flavours: flat user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMESPACES = 5, MOUNTS = 60, OPENED = 17, COVERED = 9 };

static void set_up(const char *where)
{
	char path[64];

	scenario_need(unshare(CLONE_NEWNS) == 0, "unshare: %s", strerror(errno));
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private: %s",
		      strerror(errno));
	scenario_need(mount("many", where, "tmpfs", 0, NULL) == 0, "tmpfs: %s", strerror(errno));
	scenario_need(chdir(where) == 0, "chdir: %s", strerror(errno));
	for (int i = 0; i < MOUNTS; i++) {
		snprintf(path, sizeof path, "%d", i);
		scenario_need(mkdir(path, 0755) == 0 && mount(path, path, NULL, MS_BIND, NULL) == 0,
			      "mount %d: %s", i, strerror(errno));
		if (i % 10 == 0)
			mount(NULL, path, NULL, MS_SHARED, NULL);
	}
	snprintf(path, sizeof path, "%d", COVERED);
	scenario_need(mount("0", path, NULL, MS_BIND, NULL) == 0, "cover: %s", strerror(errno));
}

/* Has files open on a mount, and on one that covers another. */
struct held {
	int plain_fd, covering_fd;
};

static struct held hold(int number)
{
	struct held held = { .covering_fd = open("9", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	char path[64];

	snprintf(path, sizeof path, "%d/file", OPENED + number);
	held.plain_fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	scenario_need(held.plain_fd >= 0 && held.covering_fd >= 0 &&
			      write(held.plain_fd, path, strlen(path)) == (ssize_t)strlen(path),
		      "files: %s", strerror(errno));
	snprintf(path, sizeof path, "%d", OPENED + number);
	scenario_need(chdir(path) == 0, "chdir: %s", strerror(errno));
	return held;
}

static int live(void *data)
{
	int number = *(const int *)data;
	struct stat one, other;
	char mark[16];

	set_up("many");
	struct held held = hold(number);
	snprintf(mark, sizeof mark, "many-%d", number);
	scenario_mark(mark);
	scenario_wait_restored();
	scenario_check(fstat(held.plain_fd, &one) == 0 && stat("file", &other) == 0 &&
			       one.st_ino == other.st_ino && one.st_dev == other.st_dev,
		       "%d: another file", number);
	scenario_check(fstat(held.covering_fd, &one) == 0 && stat("../0", &other) == 0 &&
			       one.st_ino == other.st_ino && one.st_dev == other.st_dev,
		       "%d: another covering one", number);
	scenario_check(umount2("../9", MNT_DETACH) == 0 && stat("../9", &other) == 0 &&
			       one.st_ino != other.st_ino,
		       "%d: nothing is covered", number);
	return 0;
}

int main(int argc, char **argv)
{
	int numbers[NAMESPACES];
	pid_t pids[NAMESPACES];
	char mark[16];

	scenario_begin(argc, argv);
	scenario_need(mkdir("many", 0755) == 0, "mkdir: %s", strerror(errno));
	for (int i = 0; i < NAMESPACES; i++) {
		numbers[i] = i;
		pids[i] = scenario_child(live, &numbers[i]);
		snprintf(mark, sizeof mark, "many-%d", i);
		scenario_wait_mark(mark);
	}
	scenario_ready();
	for (int i = 0; i < NAMESPACES; i++)
		scenario_reap(pids[i]);
	return scenario_end();
}
