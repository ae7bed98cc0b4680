// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-overlay
 * promise: overlays come back, with one lower layer and with several, whose names have what
 *	separates names, with and without an upper one, and open files in them go on; layers that
 *	are named from some directory, and one that is written without being synced (volatile)
 * flavours: flat three user
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

static void make_file(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);

	scenario_need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s",
		      path, strerror(errno));
	close(fd);
}

static bool has(int fd, const char *text)
{
	char found[64];
	ssize_t size = pread(fd, found, sizeof found, 0);

	return size == (ssize_t)strlen(text) && memcmp(found, text, (size_t)size) == 0;
}

static void check_file(const char *path, const char *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	scenario_check(fd >= 0 && has(fd, text), "%s is not \"%s\"", path, text);
	if (fd >= 0)
		close(fd);
}

static void mount_overlay(const char *at, const char *options)
{
	scenario_need(mount("overlay", at, "overlay", 0, options) == 0, "%s: %s: %s", at, options,
		      strerror(errno));
}

int main(int argc, char **argv)
{
	static const char *const folders[] = { "one",	     "tw:o",	 "th,ree",   "upper",
					       "work",	     "writable", "readable", "below",
					       "below/low",  "below/up", "below/wo", "below/seen",
					       "below/lower" };
	char here[PATH_MAX], options[4 * PATH_MAX];
	int fd;

	scenario_begin(argc, argv);
	scenario_need(getcwd(here, sizeof here) && unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		      "a mount namespace: %s", strerror(errno));
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		scenario_need(mkdir(folders[i], 0755) == 0, "%s: %s", folders[i], strerror(errno));
	make_file("one/first", "1");
	make_file("tw:o/second", "2");
	make_file("th,ree/second", "hidden");
	make_file("th,ree/third", "3");
	snprintf(options, sizeof options,
		 "lowerdir=%s/one,upperdir=%s/upper,workdir=%s/work,index=off", here, here, here);
	mount_overlay("writable", options);
	snprintf(options, sizeof options, "lowerdir=%s/one:%s/tw\\:o:%s/th\\,ree", here, here,
		 here);
	mount_overlay("readable", options);
	make_file("below/low/fourth", "4");
	make_file("below/lower/fourth", "hidden");
	make_file("below/lower/fifth", "5");
	make_file("below/up/sixth", "6");
	scenario_need(chdir("below") == 0, "chdir: %s", strerror(errno));
	mount_overlay("seen", "lowerdir=low:lower,upperdir=up,workdir=wo,volatile");
	scenario_need(chdir("..") == 0, "chdir: %s", strerror(errno));
	make_file("writable/new", "upper");
	fd = open("writable/first", O_RDWR | O_APPEND | O_CLOEXEC);
	scenario_need(fd >= 0 && write(fd, "+", 1) == 1, "write");
	scenario_ready();
	check_file("readable/first", "1");
	check_file("readable/second", "2");
	check_file("readable/third", "3");
	check_file("writable/new", "upper");
	scenario_check(write(fd, "+", 1) == 1 && has(fd, "1++"), "the open file is another");
	check_file("writable/first", "1++");
	check_file("upper/first", "1++");
	check_file("one/first", "1");
	check_file("below/seen/fourth", "4");
	check_file("below/seen/fifth", "5");
	check_file("below/seen/sixth", "6");
	make_file("below/seen/fifth", "changed");
	check_file("below/up/fifth", "changed");
	scenario_check(open("readable/new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) < 0 &&
			       errno == EROFS,
		       "what has no upper layer can be written");
	return scenario_end();
}
