// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: pidns-entered
 * promise: tasks that entered a pid namespace from outside, and children of one task that are
 *	init and members of a namespace it is not in itself, come back where they were
 * flavours: flat fresh one three user user-three unprivileged
 */
#include "scenario.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORKS = 3 };

/*
 * In the namespace of somebody else's children: the parent cannot be seen from here. The end of an
 * init is the end of its namespace, so that goes last.
 */
static int entered(void *mark)
{
	char before[SCENARIO_IDS_ROOM], after[SCENARIO_IDS_ROOM];

	scenario_ids(before);
	scenario_need(getppid() == 0, "the parent is visible");
	scenario_mark(mark);
	scenario_wait_restored();
	scenario_ids(after);
	scenario_check(!strcmp(before, after), "ids were %s, are %s", before, after);
	scenario_check(getppid() == 0, "the parent has become visible: %d", getppid());
	if (getpid() == 1)
		scenario_wait_mark("members-done");
	return 0;
}

static int adopted(void *unused)
{
	(void)unused;
	while (getppid() != 1)
		scenario_sleep_ms(1);
	scenario_mark("adopted");
	scenario_wait_restored();
	scenario_check(getppid() == 1, "the adopted one is a child of %d", getppid());
	return 0;
}

/* Leaves a child behind, which the init of this namespace adopts. */
static int leaving(void *unused)
{
	(void)unused;
	scenario_child(adopted, NULL);
	return 0;
}

static int init(void *unused)
{
	int status;

	(void)unused;
	scenario_mark("init");
	scenario_wait_restored();
	scenario_check(waitpid(-1, &status, 0) > 0 && status == 0,
		       "the init has not got the adopted child");
	scenario_wait_mark("outsider-done-0");
	scenario_wait_mark("outsider-done-1");
	return 0;
}

static int inner_member(void *unused)
{
	(void)unused;
	return scenario_levels();
}

static int check_next_fork(unsigned levels)
{
	int status = 0;
	pid_t pid = scenario_child(inner_member, NULL);

	scenario_check(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == (int)levels,
		       "the next child has %d levels, not %u", WEXITSTATUS(status), levels);
	return 0;
}

/* Enters with a pidfd or with a file of /proc, in turn. */
static int outsider(void *data)
{
	int number = *(const int *)data;
	pid_t target = number / 2;
	char mark[32];

	int fd = (int)syscall(SYS_pidfd_open, target, 0);
	scenario_need(fd >= 0, "no pidfd");
	scenario_need(setns(fd, CLONE_NEWPID) == 0, "cannot enter");
	close(fd);
	if (number % 2) { /* once more, by the file that the first entering made visible */
		int file = open("/proc/self/ns/pid_for_children", O_RDONLY | O_CLOEXEC);
		scenario_need(file >= 0 && setns(file, CLONE_NEWPID) == 0, "cannot enter by file");
		close(file);
	}
	snprintf(mark, sizeof mark, "entered-%d", number % 2);
	pid_t child = scenario_child(entered, mark);
	scenario_wait_mark(mark);
	if (number % 2) {
		pid_t leaver = scenario_child(leaving, NULL);
		scenario_reap(leaver);
		scenario_wait_mark("adopted");
	}
	snprintf(mark, sizeof mark, "outsider-%d", number % 2);
	scenario_mark(mark);
	scenario_wait_restored();
	check_next_fork(scenario_levels() + 1);
	scenario_reap(child);
	snprintf(mark, sizeof mark, "outsider-done-%d", number % 2);
	scenario_mark(mark);
	return 0;
}

/* The first child is the init, the others members; this task itself stays outside. */
static int maker(void *unused)
{
	pid_t children[FORKS];
	char marks[FORKS][16];

	(void)unused;
	scenario_need(unshare(CLONE_NEWPID) == 0, "cannot unshare");
	for (int i = 0; i < FORKS; i++) {
		snprintf(marks[i], sizeof marks[i], "made-%d", i);
		children[i] = scenario_child(entered, marks[i]);
		scenario_wait_mark(marks[i]);
	}
	scenario_mark("maker");
	scenario_wait_restored();
	for (int i = FORKS; i-- > 1;)
		scenario_reap(children[i]);
	scenario_mark("members-done");
	scenario_reap(children[0]);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t first = scenario_child_in(CLONE_NEWPID, init, NULL);
	scenario_wait_mark("init");
	int numbers[] = { first * 2, first * 2 + 1 };
	pid_t outsiders[] = { scenario_child(outsider, &numbers[0]),
			      scenario_child(outsider, &numbers[1]) };
	pid_t other = scenario_child(maker, NULL);
	scenario_wait_mark("outsider-0");
	scenario_wait_mark("outsider-1");
	scenario_wait_mark("maker");

	scenario_ready();

	scenario_reap(outsiders[0]);
	scenario_reap(outsiders[1]);
	scenario_reap(other);
	scenario_reap(first);
	return scenario_end();
}
