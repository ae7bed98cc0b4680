// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: pidns-depth
 * promise: pid namespaces nested to the kernel's 32 levels, with an init, a member and a thread in
 *	each, come back with the same ids at every level
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned deepest;

/* How many namespaces can be made below this process, up to the kernel's 32 in all. */
static int count_room(void)
{
	if (unshare(CLONE_NEWPID))
		return 0;
	pid_t pid = fork();
	if (pid == 0)
		_exit(count_room());
	int status = 0;
	scenario_need(pid > 0 && waitpid(pid, &status, 0) == pid, "cannot count levels");
	return 1 + WEXITSTATUS(status);
}

static unsigned find_deepest(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(count_room());
	scenario_need(pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status),
		      "no pid namespace can be made");
	return scenario_levels() + (unsigned)WEXITSTATUS(status);
}

static void *keep_ids(void *what)
{
	char before[SCENARIO_IDS_ROOM], after[SCENARIO_IDS_ROOM], mark[32];

	scenario_ids(before);
	snprintf(mark, sizeof mark, "%s-%u", (const char *)what, scenario_levels());
	scenario_mark(mark);
	scenario_wait_restored();
	scenario_ids(after);
	scenario_check(!strcmp(before, after), "ids were %s, are %s", before, after);
	return NULL;
}

static int member(void *what)
{
	keep_ids(what);
	return 0;
}

static int init(void *unused)
{
	pthread_t thread;
	pid_t inner = 0;
	unsigned levels = scenario_levels();

	(void)unused;
	pid_t other = scenario_child(member, "member");
	if (levels < deepest)
		inner = scenario_child_in(CLONE_NEWPID, init, NULL);
	/* After the forks: what the thread has open for a moment is nobody else's. */
	pthread_create(&thread, NULL, keep_ids, "thread");
	keep_ids("init");
	pthread_join(thread, NULL);
	scenario_reap(other);
	if (inner)
		scenario_reap(inner);
	return 0;
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = { "init", "member", "thread" };
	char mark[32];

	scenario_begin(argc, argv);
	deepest = find_deepest();
	pid_t outermost = scenario_child_in(CLONE_NEWPID, init, NULL);
	for (unsigned level = scenario_levels() + 1; level <= deepest; level++)
		for (int i = 0; i < 3; i++) {
			snprintf(mark, sizeof mark, "%s-%u", kinds[i], level);
			scenario_wait_mark(mark);
		}

	scenario_ready();

	scenario_reap(outermost);
	return scenario_end();
}
