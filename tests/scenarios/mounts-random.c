// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-random
 * promise: whatever mounts a random history of mounting, binding, moving, unmounting and changes of
 *	flags and propagation has left in up to six namespaces with mixed owners, they come back;
 *	what hides others and cannot be taken away leaves these private
 * flavours: flat three user-three
 * arguments: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30
 *	31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57
 *	58 59 60 61 62 63 64 65 66 67
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDERS = 3, STEPS = 14, NAMESPACES = 6, MOUNTS = 60 };

static const struct scenario_users root_inside = { "0 0 1", "0 0 1", true };

static unsigned state;

static unsigned draw(unsigned below)
{
	state = state * 1103515245 + 12345;
	return (state >> 16) % below;
}

/* "base", or one or two folders below it. */
static void draw_path(char path[64])
{
	unsigned depth = draw(3);

	strcpy(path, "base");
	for (unsigned i = 0; i < depth; i++)
		sprintf(path + strlen(path), "/%u", draw(FOLDERS));
}

static void make_folders(const char *above, unsigned depth)
{
	for (unsigned i = 0; depth && i < FOLDERS; i++) {
		char path[96];
		snprintf(path, sizeof path, "%.64s/%u", above, i);
		mkdir(path, 0755);
		make_folders(path, depth - 1);
	}
}

/* Groups of binds onto each other would grow without end. */
static unsigned count_mounts(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[4096];
	unsigned n = 0;

	while (file && fgets(line, sizeof line, file))
		n++;
	if (file)
		fclose(file);
	return n;
}

static void mount_new(const char *path)
{
	char options[32];

	snprintf(options, sizeof options, "size=%uk", 64 + 4 * draw(8));
	if (mount("new", path, "tmpfs", draw(2) ? MS_NOSUID : MS_NOATIME, options) == 0)
		make_folders(path, 2);
}

static void remount(const char *path)
{
	static const unsigned long flags[] = { 0, MS_RDONLY, MS_NOSUID | MS_NODEV, MS_NOEXEC,
					       MS_RDONLY | MS_NOATIME };

	mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | flags[draw(5)], NULL);
}

static void change_propagation(const char *path)
{
	static const unsigned long types[] = { MS_PRIVATE, MS_SHARED, MS_SHARED, MS_SLAVE };

	mount(NULL, path, NULL, types[draw(4)] | (draw(2) ? MS_REC : 0), NULL);
}

static void step(void)
{
	char path[64], other[64];
	unsigned what = draw(12);

	draw_path(path);
	draw_path(other);
	if (what < 5 && count_mounts() > MOUNTS)
		what = 6;
	if (what < 2)
		mount_new(path);
	else if (what < 4)
		mount(other, path, NULL, MS_BIND, NULL);
	else if (what == 4)
		mount(other, path, NULL, MS_BIND | MS_REC, NULL);
	else if (what == 5)
		mount(other, path, NULL, MS_MOVE, NULL);
	else if (what == 6)
		umount2(path, draw(2) ? MNT_DETACH : 0);
	else if (what < 9)
		remount(path);
	else
		change_propagation(path);
}

static unsigned left;

static int live(void *data)
{
	char mark[16];
	pid_t pid = 0;

	snprintf(mark, sizeof mark, "there-%u", left);
	if (!data)
		scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
				      mount("base", "base", "tmpfs", 0, NULL) == 0,
			      "base: %s", strerror(errno));
	if (!data)
		make_folders("base", 2);
	for (unsigned i = 0; i < STEPS; i++)
		step();
	if (--left) {
		bool user = draw(3) == 0;
		pid = user ? scenario_child_users(CLONE_NEWUSER | CLONE_NEWNS, &root_inside, live,
						  &left)
			   : scenario_child_in(CLONE_NEWNS, live, &left);
	}
	scenario_mark(mark);
	scenario_wait_restored();
	if (pid)
		scenario_reap(pid);
	return 0;
}

int main(int argc, char **argv)
{
	char mark[16];

	scenario_begin(argc, argv);
	/* The first one where nobody says which (tests/interop). */
	state = (argc == 3 ? (unsigned)atoi(argv[2]) : 1) * 2654435761U;
	left = 1 + draw(NAMESPACES);
	scenario_need(mkdir("base", 0755) == 0, "mkdir");
	unsigned all = left;
	pid_t pid = scenario_child_in(CLONE_NEWNS, live, NULL);
	for (unsigned i = 1; i <= all; i++) {
		snprintf(mark, sizeof mark, "there-%u", i);
		scenario_wait_mark(mark);
	}

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
