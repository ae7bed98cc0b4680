// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-overlay-watched
 * promise: what is watched in an overlay is watched afterwards, in whichever layer it lies: files
 *	and directories of a lower one, of the upper one, what was moved, the root, and what only a
 *	mount of a part shows; nobody is told of the dump and the restore
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
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is written to, and what is watched for that: watch 1 is the first. */
static const struct {
	const char *written, *watched;
} watches[] = {
	{ "own/all/low", "own/all/low" }, { "own/all/folder/lower", "own/all/folder" },
	{ "own/all/up", "own/all/up" },	  { "own/all/renamed", "own/all/renamed" },
	{ "own/all/made", "own/all" },	  { "own/part/deep/other", "own/part/deep" },
};
enum { N_WATCHES = sizeof watches / sizeof *watches };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static void write_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	need(fd >= 0 && write(fd, name, strlen(name)) == (ssize_t)strlen(name), name);
	close(fd);
}

static void make_overlay(void)
{
	static const char *const folders[] = {
		"own/one", "own/one/folder", "own/two",	      "own/upper",	    "own/work",
		"own/all", "own/part",	     "own/two/below", "own/two/below/deep", "own/two/folder"
	};

	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("own", 0755) == 0 &&
		     mount("own", "own", "tmpfs", 0, "size=1m,mode=755") == 0,
	     "mounts");
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		need(mkdir(folders[i], 0755) == 0, folders[i]);
	write_file("own/two/low");
	write_file("own/one/folder/lower");
	write_file("own/two/below/deep/other");
	char here[PATH_MAX], options[5 * PATH_MAX];
	need(getcwd(here, sizeof here) != NULL, "where we are");
	snprintf(options, sizeof options,
		 "lowerdir=%s/own/one:%s/own/two,upperdir=%s/own/upper,workdir=%s/own/work", here,
		 here, here, here);
	need(mount("overlay", "own/all", "overlay", 0, options) == 0, "an overlay");
	write_file("own/all/up");
	write_file("own/all/before");
	need(rename("own/all/before", "own/all/renamed") == 0 &&
		     mount("own/all/below", "own/part", NULL, MS_BIND, NULL) == 0,
	     "a part");
}

/* Of all that it has been told of a watch (0: of any), the masks. */
static uint32_t told(int fd, int watch)
{
	_Alignas(struct inotify_event) char room[4096];
	ssize_t length = read(fd, room, sizeof room);
	uint32_t masks = 0;

	for (ssize_t at = 0; at < length;) {
		const struct inotify_event *event = (const void *)&room[at];
		masks |= !watch || event->wd == watch ? event->mask : 0;
		at += (ssize_t)sizeof *event + event->len;
	}
	return masks;
}

static int inside(void *unused)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	(void)unused;
	make_overlay();
	for (int i = 0; i < N_WATCHES; i++)
		need(inotify_add_watch(fd, watches[i].watched, IN_ALL_EVENTS) == i + 1,
		     watches[i].watched);
	scenario_mark("inside");

	scenario_wait_restored();
	scenario_check(!told(fd, 0), "the watches have been told of something");
	for (int i = 0; i < N_WATCHES; i++) {
		write_file(watches[i].written);
		scenario_check(told(fd, i + 1) & IN_MODIFY, "%s: its watch is not told",
			       watches[i].watched);
	}
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
