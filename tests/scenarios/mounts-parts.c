// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-parts
 * promise: mounts of parts of a file system stay peers when none of them shows all of it, in memory
 *	and of the host; a directory of the host that was removed stays mounted
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GROUP = 12 };

static gid_t group;

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static void bind(const char *source, const char *target)
{
	need((mkdir(target, 0755) == 0 || errno == EEXIST) &&
		     mount(source, target, NULL, MS_BIND, NULL) == 0,
	     target);
}

/* Three of one group, of two parts; what showed all of it goes. */
static void part(const char *whole, const char *prefix)
{
	char from[64], to[64];

	need(mount(NULL, whole, NULL, MS_SHARED, NULL) == 0, "shared");
	for (const char *name = "abc"; *name; name++) {
		snprintf(from, sizeof from, "%s/%s", whole, *name == 'b' ? "other" : "one");
		snprintf(to, sizeof to, "%s-%c", prefix, *name);
		need((mkdir(from, 0755) == 0 || errno == EEXIST), from);
		bind(from, to);
		snprintf(to, sizeof to, "%s-%c/in", prefix, *name);
		need((mkdir(to, 0755) == 0 || errno == EEXIST), to);
	}
	need(umount2(whole, MNT_DETACH) == 0, "umount");
}

static bool is_there(const char *prefix, char name)
{
	char path[64];

	snprintf(path, sizeof path, "%s-%c/in/file", prefix, name);
	return access(path, F_OK) == 0;
}

static void check_peers(const char *prefix)
{
	char path[64];

	snprintf(path, sizeof path, "%s-a/in", prefix);
	scenario_check(mount("new", path, "tmpfs", 0, NULL) == 0, "mount: %s", strerror(errno));
	strcat(path, "/file");
	scenario_check(mkdir(path, 0700) == 0, "mkdir: %s", strerror(errno));
	scenario_check(is_there(prefix, 'c'), "%s-c is no peer any more", prefix);
	scenario_check(!is_there(prefix, 'b'), "%s-b shows another part", prefix);
}

static void check_removed(void)
{
	struct stat stat_ = { 0 };

	scenario_check(stat("place", &stat_) == 0 && stat_.st_mode == (S_IFDIR | 01733) &&
			       stat_.st_uid == 0 && stat_.st_gid == group,
		       "place has mode %o and group %u", stat_.st_mode, stat_.st_gid);
	scenario_check(mkdir("place/new", 0700) == -1 && errno == ENOENT, "place is not removed");
	scenario_check(access("gone", F_OK) == -1 && errno == ENOENT, "gone is there");
}

static int slave(void *unused)
{
	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0, "slave");
	scenario_mark("slave");
	scenario_wait_restored();
	scenario_wait_mark("mounted");
	scenario_check(is_there("memory", 'a') && is_there("host", 'a'), "slave got nothing");
	scenario_check(!is_there("memory", 'b') && !is_there("host", 'b'), "slave got too much");
	return 0;
}

static int inside(void *unused)
{
	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("whole", 0755) == 0 &&
		     mount("whole", "whole", "tmpfs", 0, "size=1m,mode=755") == 0,
	     "mounts");
	part("whole", "memory");
	bind("whole", "whole");
	part("whole", "host");
	need(mkdir("gone", 0755) == 0 && chmod("gone", 01733) == 0, "mkdir");
	bind("gone", "place");
	/* Where it is the only one that can be named, it stays ours. */
	group = chown("gone", (uid_t)-1, GROUP) == 0 ? GROUP : 0;
	need(chmod("gone", 01733) == 0 && rmdir("gone") == 0, "rmdir");
	check_removed();
	pid_t pid = scenario_child_in(CLONE_NEWNS, slave, NULL);
	scenario_wait_mark("slave");
	scenario_mark("inside");
	scenario_wait_restored();
	check_removed();
	check_peers("memory");
	check_peers("host");
	scenario_mark("mounted");
	scenario_reap(pid);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
