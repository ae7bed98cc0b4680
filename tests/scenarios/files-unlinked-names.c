// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-unlinked-names
 * promise: an unlinked file that had several names, in directories of which different mounts show
 *	one each, in two mount namespaces, and is open by all of them, is one file afterwards, by
 *	each name on its mount, and has none
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

enum { ONE, AGAIN, TWO, COPIED, FROZEN, DESCRIPTIONS };

static int fds[DESCRIPTIONS];

static void compare(const struct look *before, const struct look *after)
{
	for (int i = 0; i < DESCRIPTIONS; i++) {
		scenario_check(strcmp(before[i].link, after[i].link) == 0, "%s was %s",
			       after[i].link, before[i].link);
		scenario_check(after[i].stat.st_ino == after[ONE].stat.st_ino &&
				       after[i].stat.st_dev == after[ONE].stat.st_dev,
			       "description %d is of another file", i);
		scenario_check(after[i].stat.st_nlink == 0, "the file has a name");
		for (int k = 0; k < i; k++)
			scenario_check((before[i].mount == before[k].mount) ==
					       (after[i].mount == after[k].mount),
				       "descriptions %d and %d", k, i);
	}
}

static void check_places(void)
{
	scenario_check(access("one/first", F_OK) < 0 && access("one/second", F_OK) < 0 &&
			       access("two/third", F_OK) < 0 && access("three/fourth", F_OK) < 0,
		       "a name is left");
	int fd = open("two/new", O_CREAT | O_WRONLY | O_EXCL, 0600);
	scenario_check(fd >= 0 && unlink("two/new") == 0, "it cannot be written to");
}

/* A mount of its own for each directory, and none that shows more. */
static void mount_parts(void)
{
	const char *parts[] = { "one", "two", "three" };
	char from[16];

	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("all", 0700) == 0 &&
			      mount("parts", "all", "tmpfs", 0, NULL) == 0,
		      "no file system");
	for (int i = 0; i < 3; i++) {
		snprintf(from, sizeof from, "all/%s", parts[i]);
		scenario_need(mkdir(from, 0700) == 0 && mkdir(parts[i], 0700) == 0 &&
				      mount(from, parts[i], NULL, MS_BIND, NULL) == 0,
			      "no mount of a part");
	}
	fds[ONE] = open("one/first", O_RDWR | O_CREAT, 0640);
	scenario_need(fds[ONE] >= 0 && write(fds[ONE], "content", 7) == 7 &&
			      link("all/one/first", "all/one/second") == 0 &&
			      link("all/one/first", "all/two/third") == 0 &&
			      link("all/one/first", "all/three/fourth") == 0,
		      "links");
	fds[AGAIN] = open("one/second", O_RDONLY);
	fds[TWO] = open("two/third", O_WRONLY | O_APPEND);
	fds[FROZEN] = open("three/fourth", O_RDONLY);
}

static void unlink_all(void)
{
	scenario_need(
		unlink("one/first") == 0 && unlink("one/second") == 0 && unlink("two/third") == 0 &&
			unlink("three/fourth") == 0 && umount2("all", MNT_DETACH) == 0 &&
			mount(NULL, "three", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0,
		"not unlinked");
}

static int copied(void *unused)
{
	struct look before[DESCRIPTIONS] = { 0 }, after[DESCRIPTIONS] = { 0 };
	char content[16] = "";

	(void)unused;
	scenario_need(unshare(CLONE_NEWNS) == 0, "unshare");
	fds[COPIED] = open("two/third", O_RDONLY);
	char *mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fds[COPIED], 0);
	scenario_need(mapped != MAP_FAILED && umount2("all", MNT_DETACH) == 0, "not mapped");
	scenario_mark("opened");
	scenario_wait_mark("unlinked");
	look_at(fds, DESCRIPTIONS, before);
	scenario_mark("looked");
	scenario_wait_restored();
	look_at(fds, DESCRIPTIONS, after);
	compare(before, after);
	scenario_check(write(fds[TWO], "+", 1) == 1 && pread(fds[ONE], content, 15, 0) == 8 &&
			       strcmp(content, "content+") == 0 &&
			       memcmp(mapped, "content+", 8) == 0 &&
			       lseek(fds[ONE], 0, SEEK_CUR) == 7,
		       "it has \"%s\"", content);
	check_places();
	return 0;
}

static int apart(void *unused)
{
	(void)unused;
	mount_parts();
	pid_t child = scenario_child(copied, NULL);
	scenario_wait_mark("opened");
	unlink_all();
	scenario_mark("unlinked");
	scenario_wait_restored();
	scenario_reap(child);
	check_places();
	scenario_check(open("three/new", O_CREAT | O_WRONLY, 0600) < 0, "it can be written to");
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
