// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-overlay-names
 * promise: overlays come back whose layers have commas, colons and backslashes in their names,
 *	however these were given: one by one, by descriptors, or in a list with escapes
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	scenario_need(fd >= 0, "%s: %s", path, strerror(errno));
	close(fd);
}

static void set(int context, const char *key, const char *path)
{
	scenario_need(fsconfig(context, FSCONFIG_SET_STRING, key, path, 0) == 0, "%s=%s: %s", key,
		      path, strerror(errno));
}

static void attach(int context, const char *at)
{
	scenario_need(fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0, "%s: %s", at,
		      strerror(errno));
	int fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
	scenario_need(fd >= 0 && move_mount(fd, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) == 0,
		      "%s: %s", at, strerror(errno));
	close(fd);
	close(context);
}

int main(int argc, char **argv)
{
	static const char *const folders[] = { "a,b", "a,b/up", "a,b/wo", "c:d,e", "f\\g",
					       "one", "other",	"given",  "u:,p",  "w,o" };
	char here[PATH_MAX], options[5 * PATH_MAX], path[PATH_MAX + 16];

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		      "a mount namespace: %s", strerror(errno));
	scenario_need(mkdir("in", 0755) == 0 && mount("t", "in", "tmpfs", 0, NULL) == 0 &&
			      chdir("in") == 0 && getcwd(here, sizeof here),
		      "a file system: %s", strerror(errno));
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		scenario_need(mkdir(folders[i], 0755) == 0, "%s: %s", folders[i], strerror(errno));
	make_file("a,b/up/first");
	make_file("c:d,e/second");
	make_file("f\\g/third");

	int context = fsopen("overlay", FSOPEN_CLOEXEC);
	snprintf(path, sizeof path, "%s/c:d,e", here);
	set(context, "lowerdir+", path);
	snprintf(path, sizeof path, "%s/f\\g", here);
	set(context, "lowerdir+", path);
	snprintf(path, sizeof path, "%s/a,b/up", here);
	set(context, "upperdir", path);
	snprintf(path, sizeof path, "%s/a,b/wo", here);
	set(context, "workdir", path);
	attach(context, "one");

	context = fsopen("overlay", FSOPEN_CLOEXEC);
	for (size_t i = 3; i < 5; i++) {
		int fd = open(folders[i], O_PATH | O_CLOEXEC);
		scenario_need(fsconfig(context, FSCONFIG_SET_FD, "lowerdir+", NULL, fd) == 0,
			      "%s: %s", folders[i], strerror(errno));
		close(fd);
	}
	attach(context, "other");

	snprintf(options, sizeof options,
		 "lowerdir=%s/c\\:d\\,e:%s/f\\\\g,upperdir=%s/u\\:\\,p,workdir=%s/w\\,o", here,
		 here, here, here);
	scenario_need(mount("overlay", "given", "overlay", 0, options) == 0, "%s: %s", options,
		      strerror(errno));
	scenario_ready();
	scenario_check(access("one/first", F_OK) == 0 && access("one/second", F_OK) == 0 &&
			       access("one/third", F_OK) == 0,
		       "layers given one by one are not there");
	scenario_check(access("other/second", F_OK) == 0 && access("other/third", F_OK) == 0,
		       "layers given by descriptors are not there");
	make_file("given/fourth");
	make_file("one/fifth");
	scenario_check(access("given/third", F_OK) == 0 && access("u:,p/fourth", F_OK) == 0,
		       "layers given in a list are not there");
	scenario_check(access("a,b/up/fifth", F_OK) == 0, "what is written is elsewhere");
	return scenario_end();
}
