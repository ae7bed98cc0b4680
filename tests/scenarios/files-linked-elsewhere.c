// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-linked-elsewhere
 * promise: a file whose name is gone while it has another one in another directory, which another
 *	mount of the tree shows, comes back by the first name, on its mount, is one with the other,
 *	and has as many names as before; also where its mount is read-only by now
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "descriptor-look.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITER, READER, FROZEN, HIDDEN, DESCRIPTIONS };

static const char *const first[DESCRIPTIONS] = { "one/file", "one/file", "frozen/file",
						 "all/deep/file" };

static void make_mounts(void)
{
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("all", 0700) == 0 &&
			      mount("own", "all", "tmpfs", 0, NULL) == 0 &&
			      mkdir("all/one", 0700) == 0 && mkdir("all/deep", 0700) == 0 &&
			      mkdir("all/frozen", 0700) == 0 && mkdir("all/kept", 0700) == 0 &&
			      mkdir("one", 0700) == 0 && mkdir("frozen", 0700) == 0 &&
			      mount("all/one", "one", NULL, MS_BIND, NULL) == 0 &&
			      mount("all/frozen", "frozen", NULL, MS_BIND, NULL) == 0,
		      "no mounts");
}

static void open_all(int *fds)
{
	fds[WRITER] = open("one/file", O_RDWR | O_CREAT, 0640);
	fds[READER] = open("one/file", O_RDONLY);
	scenario_need(write(fds[WRITER], "content", 7) == 7 &&
			      link("all/one/file", "all/kept/other") == 0 &&
			      link("all/one/file", "all/frozen/file") == 0 &&
			      link("all/one/file", "all/deep/file") == 0,
		      "links");
	fds[FROZEN] = open("frozen/file", O_RDONLY);
	fds[HIDDEN] = open("all/deep/file", O_WRONLY | O_APPEND);
	scenario_need(unlink("one/file") == 0 && unlink("frozen/file") == 0 &&
			      unlink("all/deep/file") == 0 &&
			      mount(NULL, "frozen", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) ==
				      0,
		      "not unlinked");
}

static void compare(const struct look *before, const struct look *after)
{
	struct stat kept = { 0 };

	scenario_check(stat("all/kept/other", &kept) == 0 && kept.st_nlink == 1, "links %d",
		       (int)kept.st_nlink);
	for (int i = 0; i < DESCRIPTIONS; i++) {
		scenario_check(strcmp(before[i].link, after[i].link) == 0, "%s was %s",
			       after[i].link, before[i].link);
		scenario_check(after[i].stat.st_ino == kept.st_ino &&
				       after[i].stat.st_dev == kept.st_dev,
			       "description %d is of another file", i);
		for (int k = 0; k < i; k++)
			scenario_check((before[i].mount == before[k].mount) ==
					       (after[i].mount == after[k].mount),
				       "mounts of descriptions %d and %d", k, i);
		scenario_check(access(first[i], F_OK) < 0 && errno == ENOENT, "%s is there",
			       first[i]);
	}
}

static int apart(void *unused)
{
	struct look before[DESCRIPTIONS] = { 0 }, after[DESCRIPTIONS] = { 0 };
	int fds[DESCRIPTIONS];
	char text[16] = "";

	(void)unused;
	make_mounts();
	open_all(fds);
	char *mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fds[READER], 0);
	scenario_need(mapped != MAP_FAILED, "mmap");
	look_at(fds, DESCRIPTIONS, before);
	scenario_mark("made");
	scenario_wait_restored();
	look_at(fds, DESCRIPTIONS, after);
	compare(before, after);
	scenario_check(write(fds[HIDDEN], "+", 1) == 1 && pread(fds[FROZEN], text, 15, 0) == 8 &&
			       strcmp(text, "content+") == 0 && memcmp(mapped, text, 8) == 0 &&
			       lseek(fds[WRITER], 0, SEEK_CUR) == 7,
		       "it has \"%s\"", text);
	scenario_check(open("frozen/new", O_CREAT | O_RDWR, 0600) < 0 && errno == EROFS,
		       "it can be written to");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t child = scenario_child(apart, NULL);
	scenario_wait_mark("made");

	scenario_ready();

	scenario_reap(child);
	return scenario_end();
}
