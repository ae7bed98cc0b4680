// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-removed-outside
 * promise: files of the host that were removed and are mounted in namespaces of the tree come back
 *	so, with content, holes, mode, owner, times and attributes: open, mapped, written by one and
 *	seen by others, where something else has the name by now too; nobody can give them a name
 * flavours: flat one three user user-three
 * ignore: mounts
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
#include <sys/xattr.h>
#include <unistd.h>

enum { SIZE = 1 << 20, FAR = SIZE - 4 };
static const char text[] = "removed";

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static void make(const char *name, const char *place)
{
	const struct timespec times[2] = { { 1000000001, 5 }, { 1000000002, 7 } };
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);

	need(fd >= 0 && ftruncate(fd, SIZE) == 0 && write(fd, text, sizeof text) > 0 &&
		     pwrite(fd, name, 4, FAR) == 4,
	     name);
	/* Not every file system has them. */
	if (fsetxattr(fd, "user.mine", "yes", 3, 0))
		need(errno == ENOTSUP, "attribute");
	need(futimens(fd, times) == 0 && fchmod(fd, 0614) == 0, "times");
	close(fd);
	need(mknod(place, S_IFREG | 0600, 0) == 0 && mount(name, place, NULL, MS_BIND, NULL) == 0,
	     place);
	need(unlink(name) == 0, "unlink");
}

struct seen {
	struct stat stat;
	bool attribute;
};

static struct seen look(const char *place)
{
	char value[4] = "";
	struct seen seen = { .attribute = getxattr(place, "user.mine", value, 4) == 3 &&
					  memcmp(value, "yes", 3) == 0 };

	need(stat(place, &seen.stat) == 0, place);
	return seen;
}

static void check(const struct seen *before, const char *place, const char *name)
{
	char found[sizeof text] = "", end[4] = "";
	struct seen seen = look(place);
	int fd = open(place, O_RDWR | O_CLOEXEC);

	scenario_check(
		seen.stat.st_mode == (S_IFREG | 0614) && seen.stat.st_uid == before->stat.st_uid &&
			seen.stat.st_gid == before->stat.st_gid && seen.stat.st_size == SIZE &&
			seen.stat.st_blocks < SIZE / 512 && seen.stat.st_nlink == 0 &&
			seen.stat.st_mtim.tv_sec == 1000000002 && seen.stat.st_mtim.tv_nsec == 7,
		"%s: mode %o, size %ld, %d links", place, seen.stat.st_mode,
		(long)seen.stat.st_size, (int)seen.stat.st_nlink);
	scenario_check(seen.attribute == before->attribute, "%s: its attribute is another", place);
	scenario_check(fd >= 0 && read(fd, found, sizeof found) > 0 && strcmp(found, text) == 0 &&
			       pread(fd, end, 4, FAR) == 4 && memcmp(end, name, 4) == 0,
		       "%s has \"%s\"", place, found);
	scenario_check(linkat(AT_FDCWD, place, AT_FDCWD, "new", 0) < 0, "%s gets a name", place);
	close(fd);
}

/* Of the others another one is shown, as theirs cannot be had. */
static bool is_shown_as(const char *root)
{
	char line[4096];
	FILE *file = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	while (file && fgets(line, sizeof line, file))
		found = found || strstr(line, root);
	return file && fclose(file) == 0 && found;
}

static int below(void *data)
{
	const char *mapped = data;

	scenario_mark("below");
	scenario_wait_mark("written");
	char byte = 0;
	int fd = open("place", O_RDONLY | O_CLOEXEC);
	scenario_check(fd >= 0 && pread(fd, &byte, 1, 4096) == 1 && byte == '#',
		       "another namespace shows another file");
	scenario_check(mapped[4096] == '#', "what is mapped is another file");
	scenario_check(umount2("place", MNT_DETACH) < 0, "it is not locked");
	return 0;
}

static int inside(void *unused)
{
	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	make("gone", "place");
	make("taken", "other");
	need(mkdir("taken", 0700) == 0, "taken");
	need(mkdir("folder", 0700) == 0, "folder");
	make("folder/deep", "third");
	need(rmdir("folder") == 0, "rmdir");
	int fd = open("place", O_RDWR | O_CLOEXEC);
	need(fd >= 0, "open");
	char *mapped = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(mapped != MAP_FAILED, "mmap");
	need(is_shown_as("state/gone//deleted /"), "mountinfo");
	const struct seen place = look("place"), other = look("other"), third = look("third");
	pid_t pid = scenario_child_in(CLONE_NEWUSER | CLONE_NEWNS, below, mapped);
	scenario_wait_mark("below");
	scenario_mark("inside");

	scenario_wait_restored();
	check(&place, "place", "gone");
	scenario_check(is_shown_as("state/gone//deleted /"), "it is shown by another name");
	check(&other, "other", "take");
	check(&third, "third", "fold");
	scenario_check(access("gone", F_OK) < 0 && access("folder", F_OK) < 0, "a name is left");
	scenario_check(rmdir("taken") == 0, "what has taken the name is another: %s",
		       strerror(errno));
	need(pwrite(fd, "#", 1, 4096) == 1, "pwrite");
	scenario_check(mapped[4096] == '#', "what is mapped is another file than what is open");
	scenario_mark("written");
	scenario_reap(pid);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
