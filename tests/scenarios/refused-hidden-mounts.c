// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-hidden-mounts
 * promise: a tmpfs below what is mounted over "/", which nobody sees, is not lost without a word: the
 *	dump is refused, and the tree goes on
 * flavours: flat user
 * refused: state-lost
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Mounts a copy of all over "/", and a tmpfs below it, and goes to the top as who enters it does. */
static void hide(char directory[PATH_MAX])
{
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      getcwd(directory, PATH_MAX) && mkdir("memory", 0755) == 0,
		      "a mount namespace: %s", strerror(errno));
	int self = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC), fd;
	scenario_need(mount("/", "/", NULL, MS_BIND | MS_REC, NULL) == 0 &&
			      mount("mine", "memory", "tmpfs", 0, NULL) == 0 &&
			      (fd = open("memory/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) >=
				      0 &&
			      write(fd, "text", 4) == 4 && close(fd) == 0 &&
			      setns(self, CLONE_NEWNS) == 0 && chdir(directory) == 0 &&
			      access("memory/file", F_OK) < 0,
		      "cannot hide it: %s", strerror(errno));
	close(self);
}

/* What is on top is taken away. */
static void look_below(const char *directory)
{
	int self = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);

	scenario_need(umount2("/", MNT_DETACH) == 0 && setns(self, CLONE_NEWNS) == 0 &&
			      chdir(directory) == 0,
		      "cannot take it away: %s", strerror(errno));
	close(self);
}

int main(int argc, char **argv)
{
	char directory[PATH_MAX];

	scenario_begin(argc, argv);
	hide(directory);

	scenario_ready();

	look_below(directory);
	scenario_check(access("memory/file", F_OK) == 0, "it is gone: %s", strerror(errno));
	return scenario_end();
}
