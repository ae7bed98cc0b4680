// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-unlinked-mounts
 * promise: an unlinked file that is open or mapped by way of several mounts, of a mount namespace
 *	that was copied since and of a bind mount at another path, is one file afterwards, each
 *	description is on its mount, and no name is left
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "descriptor-look.h"
#include "scenario.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OLD, COPIED, BOUND, DESCRIPTIONS };

static int fds[DESCRIPTIONS];

static void compare(const struct look *before, const struct look *after)
{
	for (int i = 0; i < DESCRIPTIONS; i++) {
		scenario_check(strcmp(before[i].link, after[i].link) == 0, "%s was %s",
			       after[i].link, before[i].link);
		scenario_check(after[i].stat.st_ino == after[OLD].stat.st_ino &&
				       after[i].stat.st_dev == after[OLD].stat.st_dev,
			       "description %d is of another file", i);
		scenario_check(after[i].stat.st_nlink == 0, "the file has a name");
		for (int k = 0; k < i; k++)
			scenario_check(after[i].mount != after[k].mount,
				       "descriptions %d and %d are on one mount", k, i);
	}
}

static void see_one_file(const char *mapped)
{
	char byte = 0;

	scenario_check(pwrite(fds[OLD], "new", 3, 0) == 3 && memcmp(mapped, "new", 3) == 0,
		       "what is mapped is another file");
	scenario_check(pread(fds[BOUND], &byte, 1, 4096) == 1 && byte == 'e',
		       "its content is another");
	scenario_check(access("library", F_OK) < 0 && access("bound/library", F_OK) < 0,
		       "a name is left");
}

static int apart(void *unused)
{
	struct look before[DESCRIPTIONS], after[DESCRIPTIONS];

	(void)unused;
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("bound", 0700) == 0 &&
			      mount(".", "bound", NULL, MS_BIND, NULL) == 0,
		      "no mounts of its own");
	fds[COPIED] = open("library", O_RDONLY);
	fds[BOUND] = open("bound/library", O_RDONLY);
	int fd = open("library", O_RDONLY);
	char *mapped = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	scenario_need(fds[COPIED] >= 0 && fds[BOUND] >= 0 && mapped != MAP_FAILED, "not open");
	close(fd);
	scenario_mark("opened");
	scenario_wait_mark("unlinked");
	look_at(fds, DESCRIPTIONS, before);
	scenario_mark("looked");
	scenario_wait_restored();
	look_at(fds, DESCRIPTIONS, after);
	compare(before, after);
	see_one_file(mapped);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	fds[OLD] = open("library", O_RDWR | O_CREAT, 0644);
	scenario_need(pwrite(fds[OLD], "old", 3, 0) == 3 && pwrite(fds[OLD], "e", 1, 4096) == 1,
		      "cannot write");
	pid_t child = scenario_child(apart, NULL);
	scenario_wait_mark("opened");
	scenario_need(unlink("library") == 0, "cannot unlink");
	scenario_mark("unlinked");
	scenario_wait_mark("looked");

	scenario_ready();

	scenario_reap(child);
	return scenario_end();
}
