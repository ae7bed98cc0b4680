// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-thread-groups
 * promise: threads share working directory, root directory, umask and mount namespace with one
 *	another, and not with the first thread, which is in a mount namespace of its own, or has
 *	exited
 * flavours: flat three user user-three
 * arguments: directories mounts outside dead
 * needs: initial-user-namespace
 * rounds: 1
 */
#include "scenario.h"

#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The first one parts from those that it has made, and makes another one then. OUTSIDE parts too,
 * for a mount namespace, and makes WITH_OUTSIDE; BELOW does so for a directory. CONDUCTOR is one of
 * those that the first has parted from: it tells the others what to do, one after another.
 */
enum {
	FIRST,
	CONDUCTOR,
	OUTSIDE,
	SECOND,
	BELOW,
	THIRD,
	WITH_BELOW,
	WITH_OUTSIDE,
	WITH_FIRST,
	THREADS
};
enum { ROOM = 4096 };

/* Who shares with whom. */
static const int group_of[THREADS] = {
	[FIRST] = 0,   [WITH_FIRST] = 0,   [CONDUCTOR] = 1, [SECOND] = 1,     [THIRD] = 1,
	[OUTSIDE] = 2, [WITH_OUTSIDE] = 2, [BELOW] = 3,	    [WITH_BELOW] = 3,
};

struct place {
	char cwd[ROOM];
	struct stat directory, root;
	mode_t mask;
	char mounts[64];
};

static struct member {
	int number;
	pthread_t thread;
	_Atomic pid_t tid;
	void (*_Atomic job)(struct member *member);
	struct place place;
} members[THREADS];

static bool first_has_mounts;

static void *serve(void *data);
static void *conduct(void *data);

static void look(struct place *place)
{
	memset(place, 0, sizeof *place);
	scenario_need(getcwd(place->cwd, sizeof place->cwd) && stat(".", &place->directory) == 0 &&
			      stat("/", &place->root) == 0,
		      "no place");
	place->mask = umask(0);
	umask(place->mask);
	/* Some have another root. */
	if (readlink("/proc/thread-self/ns/mnt", place->mounts, sizeof place->mounts - 1) < 0)
		place->mounts[0] = '\0';
}

static void look_at_own(struct member *member)
{
	look(&member->place);
}

static bool is_same(const struct stat *one, const struct stat *other)
{
	return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

/* A tmpfs is another device after the restore. */
static void compare(const struct member *member, const struct place *is)
{
	const struct place *was = &member->place;
	int number = member->number;

	scenario_check(strcmp(is->cwd, was->cwd) == 0, "%d: in %s, and was in %s", number, is->cwd,
		       was->cwd);
	scenario_check(is->mask == was->mask, "%d: umask %o, and was %o", number, is->mask,
		       was->mask);
	scenario_check(is->root.st_ino == was->root.st_ino, "%d: another root", number);
	scenario_check(is->directory.st_ino == was->directory.st_ino, "%d: another directory",
		       number);
	scenario_check(!is->mounts[0] == !was->mounts[0], "%d: its root shows others", number);
}

static void compare_own(struct member *member)
{
	struct place is;

	look(&is);
	compare(member, &is);
}

/* Of who has not its own root. */
static bool sees_mounted(void)
{
	return access("mounted/in", F_OK) == 0;
}

static void see_nothing_mounted(struct member *member)
{
	scenario_check(!sees_mounted(), "%d sees what another one has mounted", member->number);
}

/* ---- the state ---- */

static void start(int number, void *(*body)(void *data))
{
	struct member *member = &members[number];

	member->number = number;
	scenario_need(!pthread_create(&member->thread, NULL, body, member), "a thread");
	while (!member->tid)
		scenario_sleep_ms(1);
}

static void go_outside(struct member *member)
{
	(void)member;
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("mounted", 0755) == 0 &&
			      mount("of threads", "mounted", "tmpfs", 0, NULL) == 0 &&
			      mkdir("mounted/in", 0700) == 0 && sees_mounted() &&
			      chroot("mounted") == 0 && chdir("/in") == 0,
		      "mounts");
	umask(027);
}

static void go_below(struct member *member)
{
	(void)member;
	scenario_need(unshare(CLONE_FS) == 0 && mkdir("below", 0755) == 0 && chdir("below") == 0,
		      "below");
	umask(077);
}

/* The others keep what they had. */
static void part(void)
{
	scenario_need(unshare(first_has_mounts ? CLONE_NEWNS : CLONE_FS) == 0 &&
			      mkdir("aside", 0755) == 0 && chdir("aside") == 0,
		      "the first");
	umask(0);
	if (first_has_mounts)
		scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
				      mkdir("own", 0755) == 0 &&
				      mount("of the first", "own", "tmpfs", 0, NULL) == 0 &&
				      chdir("own") == 0,
			      "mounts of the first");
	start(WITH_FIRST, serve);
}

static void make_with_outside(struct member *member)
{
	(void)member;
	start(WITH_OUTSIDE, serve);
}

static void make_with_below(struct member *member)
{
	(void)member;
	start(WITH_BELOW, serve);
}

/* ---- who does what ---- */

static void serve_for_ever(struct member *member)
{
	for (;;) {
		void (*job)(struct member *) = member->job;
		if (job) {
			job(member);
			member->job = NULL;
		} else {
			scenario_sleep_ms(2);
		}
	}
}

static void *serve(void *data)
{
	struct member *member = data;

	member->tid = (pid_t)syscall(SYS_gettid);
	serve_for_ever(member);
	return NULL;
}

static bool is_there(int number)
{
	return members[number].tid != 0;
}

static void let(int number, void (*job)(struct member *member))
{
	if (!is_there(number))
		return;
	if (number == CONDUCTOR) {
		job(&members[number]);
		return;
	}
	members[number].job = job;
	while (members[number].job)
		scenario_sleep_ms(1);
}

static void let_all(void (*job)(struct member *member))
{
	for (int i = 0; i < THREADS; i++)
		let(i, job);
}

/* ---- what is seen ---- */

static void compare_objects(const char *when)
{
	for (int i = 0; i < THREADS; i++)
		for (int k = 0; k < i; k++) {
			if (!is_there(i) || !is_there(k))
				continue;
			long order =
				syscall(SYS_kcmp, members[i].tid, members[k].tid, KCMP_FS, 0, 0);
			bool same = group_of[i] == group_of[k];
			scenario_check(order >= 0 && (order == 0) == same, "%s: %d and %d: %ld",
				       when, i, k, order);
		}
}

static void go_elsewhere(struct member *member)
{
	scenario_check(chdir("/") == 0, "%d cannot leave", member->number);
	umask(0101);
}

/* What one does is seen by those that share with it, and by nobody else. */
static void see_sharing(int who)
{
	let_all(look_at_own);
	let(who, go_elsewhere);
	for (int i = 0; i < THREADS; i++) {
		struct place *place = &members[i].place;
		if (!is_there(i))
			continue;
		if (group_of[i] == group_of[who]) {
			strcpy(place->cwd, "/");
			place->directory = place->root;
			place->mask = 0101;
		}
		let(i, compare_own);
	}
}

static void check_mounts(void)
{
	for (int i = 0; i < THREADS; i++)
		for (int k = 0; k < i; k++) {
			const char *one = members[i].place.mounts, *other = members[k].place.mounts;
			bool same = !first_has_mounts || !group_of[i] == !group_of[k];
			if (one[0] && other[0])
				scenario_check((strcmp(one, other) == 0) == same,
					       "%d and %d: %s, %s", i, k, one, other);
		}
	scenario_check(!members[OUTSIDE].place.mounts[0], "a root shows what is outside");
}

static void *conduct(void *data)
{
	static const int changing[] = { WITH_OUTSIDE, SECOND, BELOW, WITH_FIRST };
	struct member *member = data;

	member->tid = (pid_t)syscall(SYS_gettid);
	scenario_wait_mark("parted");
	let_all(look_at_own);
	check_mounts();
	compare_objects("before");

	scenario_ready();

	let_all(compare_own);
	compare_objects("after");
	let_all(look_at_own);
	check_mounts();
	let(SECOND, see_nothing_mounted);
	let(FIRST, see_nothing_mounted);
	scenario_check(is_same(&members[OUTSIDE].place.root, &members[WITH_OUTSIDE].place.root),
		       "two roots");
	for (size_t i = 0; i < sizeof changing / sizeof *changing; i++)
		if (is_there(changing[i]))
			see_sharing(changing[i]);
	exit(scenario_end());
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	const char *how = argc > 2 ? argv[2] : "mounts";
	bool dead = strcmp(how, "dead") == 0, outside = strcmp(how, "outside") == 0;

	first_has_mounts = outside || strcmp(how, "mounts") == 0;
	/* That of the other threads is part of the tree, or that of whoever restores it. */
	if (first_has_mounts && !outside)
		scenario_need(unshare(CLONE_NEWNS) == 0 &&
				      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
			      "a mount namespace");
	start(CONDUCTOR, conduct);
	start(OUTSIDE, serve);
	start(SECOND, serve);
	start(BELOW, serve);
	start(THIRD, serve);
	let(BELOW, go_below);
	let(BELOW, make_with_below);
	let(OUTSIDE, go_outside);
	let(OUTSIDE, make_with_outside);
	if (!dead) {
		part();
		members[FIRST].tid = (pid_t)syscall(SYS_gettid);
	}
	scenario_mark("parted");
	if (dead)
		syscall(SYS_exit, 0);
	serve_for_ever(&members[FIRST]);
	return 1;
}
