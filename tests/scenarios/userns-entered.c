// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: userns-entered
 * promise: user namespaces are in any relation to the process tree: one made by a task and entered
 *	by others, whose parent stays outside; siblings; a grandchild that entered its uncle's and
 *	made another below it, where its own child is
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum who {
	MAIN,
	UNCLE,	 /* made a namespace */
	ENTERED, /* children of main that entered it */
	ENTERED_LATER,
	COUSIN,	    /* child of the uncle, in the same */
	SIBLING,    /* made one beside */
	PARENT,	    /* stays outside */
	GRANDCHILD, /* its child: entered the uncle's, made one below */
	GREAT_GRANDCHILD,
	PEOPLE,
};

/* Which namespace each of them is to be in: the one that the other made. */
static const enum who home[PEOPLE] = {
	[MAIN] = MAIN,		 [UNCLE] = UNCLE,	    [ENTERED] = UNCLE,
	[ENTERED_LATER] = UNCLE, [COUSIN] = UNCLE,	    [SIBLING] = SIBLING,
	[PARENT] = MAIN,	 [GRANDCHILD] = GRANDCHILD, [GREAT_GRANDCHILD] = GRANDCHILD,
};

static ino_t *seen; /* by the people, of their own */

static void note(enum who who)
{
	struct stat own;

	scenario_check(stat("/proc/self/ns/user", &own) == 0, "cannot see the own namespace");
	seen[who] = own.st_ino;
}

static void wait_for(enum who who)
{
	while (!__atomic_load_n(&seen[who], __ATOMIC_SEQ_CST))
		scenario_sleep_ms(1);
}

/* Before and after, everybody says where they are; main looks. */
static int live(enum who who)
{
	uid_t uid = getuid();

	note(who);
	scenario_wait_restored();
	note(who);
	scenario_check(getuid() == uid, "%d has uid %u, not %u", who, getuid(), uid);
	return 0;
}

static int cousin(void *unused)
{
	(void)unused;
	return live(COUSIN);
}

static int uncle(void *unused)
{
	(void)unused;
	pid_t pid = scenario_child(cousin, NULL);
	live(UNCLE);
	scenario_reap(pid);
	return 0;
}

static void enter(pid_t target)
{
	int fd = (int)syscall(SYS_pidfd_open, target, 0);

	scenario_need(fd >= 0 && setns(fd, CLONE_NEWUSER) == 0, "cannot enter");
	close(fd);
	scenario_need(getuid() == 0, "uid %u after entering", getuid());
}

static int entered(void *target)
{
	enter(*(const pid_t *)target);
	return live(ENTERED);
}

static int entered_later(void *target)
{
	enter(*(const pid_t *)target);
	return live(ENTERED_LATER);
}

static int sibling(void *unused)
{
	(void)unused;
	return live(SIBLING);
}

static int great_grandchild(void *unused)
{
	(void)unused;
	return live(GREAT_GRANDCHILD);
}

static int grandchild(void *target)
{
	enter(*(const pid_t *)target);
	scenario_need(unshare(CLONE_NEWUSER) == 0, "cannot unshare");
	scenario_write_map("self", "setgroups", "deny");
	scenario_write_map("self", "uid_map", "5 0 1");
	scenario_write_map("self", "gid_map", "6 0 1");
	scenario_need(getuid() == 5 && getgid() == 6, "ids %u %u", getuid(), getgid());
	pid_t pid = scenario_child(great_grandchild, NULL);
	live(GRANDCHILD);
	scenario_reap(pid);
	return 0;
}

static int parent(void *target)
{
	pid_t pid = scenario_child(grandchild, target);

	live(PARENT);
	scenario_reap(pid);
	return 0;
}

static void check_homes(const char *when)
{
	for (int one = 0; one < PEOPLE; one++)
		for (int other = 0; other < one; other++)
			scenario_check((seen[one] == seen[other]) == (home[one] == home[other]),
				       "%s: are %d and %d in one namespace?", when, one, other);
}

int main(int argc, char **argv)
{
	static const struct scenario_users all = { "0 0 1\n1 1 59999", "0 0 1\n1 1 59999", false };
	static const struct scenario_users some = { "0 0 1\n1 700 5", "0 0 1", false };
	pid_t people[PEOPLE] = { 0 };

	scenario_begin(argc, argv);
	seen = mmap(NULL, PEOPLE * sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		    -1, 0);
	scenario_need(seen != MAP_FAILED, "mmap");
	people[UNCLE] = scenario_child_users(0, &all, uncle, NULL);
	people[ENTERED] = scenario_child(entered, &people[UNCLE]);
	people[SIBLING] = scenario_child_users(0, &some, sibling, NULL);
	people[PARENT] = scenario_child(parent, &people[UNCLE]);
	people[ENTERED_LATER] = scenario_child(entered_later, &people[UNCLE]);
	note(MAIN);
	for (int who = 0; who < PEOPLE; who++)
		wait_for((enum who)who);
	check_homes("before");
	for (int who = 0; who < PEOPLE; who++)
		seen[who] = 0;

	scenario_ready();

	note(MAIN);
	for (int who = 0; who < PEOPLE; who++) {
		wait_for((enum who)who);
		if (people[who])
			scenario_reap(people[who]);
	}
	check_homes("after");
	return scenario_end();
}
