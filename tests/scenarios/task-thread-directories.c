// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-thread-directories
 * promise: threads have working directory, root directory, umask and mount namespace of their own
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 * rounds: 1
 */
#include "scenario.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 3, ROOM = 4096 };

static char top[ROOM];

struct place {
	char cwd[ROOM];
	struct stat directory, root;
	mode_t mask;
};

static void look(struct place *place)
{
	memset(place, 0, sizeof *place);
	scenario_need(getcwd(place->cwd, sizeof place->cwd) && stat(".", &place->directory) == 0 &&
			      stat("/", &place->root) == 0,
		      "no place");
	place->mask = umask(0);
	umask(place->mask);
}

static bool is_same(const struct stat *one, const struct stat *other)
{
	return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

static void check_place(const char *who, const struct place *was)
{
	struct place is;

	look(&is);
	scenario_check(strcmp(is.cwd, was->cwd) == 0, "%s: in %s, and was in %s", who, is.cwd,
		       was->cwd);
	scenario_check(is.mask == was->mask, "%s: umask %o, and was %o", who, is.mask, was->mask);
	scenario_check(is_same(&is.root, &was->root), "%s: another root", who);
	scenario_check(is.directory.st_ino == was->directory.st_ino, "%s: another directory", who);
}

/* What it does then is seen by nobody else. */
static void go_elsewhere(void)
{
	scenario_check(chdir("/") == 0, "cannot leave");
	umask(0111);
}

static void *goes_below(void *unused)
{
	struct place was;

	scenario_need(unshare(CLONE_FS) == 0 && mkdir("below", 0755) == 0 && chdir("below") == 0,
		      "below");
	umask(077);
	look(&was);
	scenario_mark("below");
	scenario_wait_restored();
	check_place("below", &was);
	go_elsewhere();
	return unused;
}

/* Marks are outside of its root: it makes a file of its own, and waits for one. */
static void *rooted(void *unused)
{
	struct place was;

	scenario_need(unshare(CLONE_FS) == 0 && mkdir("jail", 0755) == 0 &&
			      mkdir("jail/inner", 0755) == 0 && chroot("jail") == 0 &&
			      chdir("/inner") == 0,
		      "root");
	look(&was);
	scenario_need(strcmp(was.cwd, "/inner") == 0 && mkdir("/there", 0755) == 0, "in %s",
		      was.cwd);
	/* Where it has come out of its root there is nothing to wait for. */
	while (access("/go", F_OK) && access(top, F_OK))
		scenario_sleep_ms(5);
	check_place("rooted", &was);
	scenario_check(access(top, F_OK) < 0, "%s can be seen from inside of a root", top);
	go_elsewhere();
	return unused;
}

static void *mounts(void *unused)
{
	struct place was;

	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("mounted", 0755) == 0 &&
			      mount("of a thread", "mounted", "tmpfs", 0, NULL) == 0 &&
			      mkdir("mounted/in", 0700) == 0,
		      "mounts");
	scenario_mark("mounted");
	scenario_need(chdir("mounted/in") == 0, "chdir");
	look(&was);
	scenario_wait_restored();
	check_place("mounts", &was);
	scenario_check(umount2("../../mounted", MNT_DETACH) == 0, "cannot umount");
	go_elsewhere();
	return unused;
}

int main(int argc, char **argv)
{
	static void *(*const bodies[THREADS])(void *) = { goes_below, rooted, mounts };
	static const char *const there[THREADS] = { "mark-below", "jail/there", "mark-mounted" };
	pthread_t threads[THREADS];
	struct place was;

	scenario_begin(argc, argv);
	look(&was);
	strcpy(top, was.cwd);
	for (int i = 0; i < THREADS; i++) {
		scenario_need(!pthread_create(&threads[i], NULL, bodies[i], NULL), "a thread");
		while (access(there[i], F_OK))
			scenario_sleep_ms(5);
	}
	check_place("the first, before", &was);

	scenario_ready();

	check_place("the first", &was);
	scenario_check(access("mounted", F_OK) == 0 && access("mounted/in", F_OK) < 0,
		       "what a thread has mounted is seen by the first");
	scenario_check(mkdir("jail/go", 0755) == 0, "cannot tell it");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	check_place("the first, at the end", &was);
	return scenario_end();
}
