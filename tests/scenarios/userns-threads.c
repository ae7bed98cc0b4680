// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: userns-threads
 * promise: tasks and threads, also of leaders that are dead, in nested user namespaces, which own
 *	pid namespaces at each level, keep their ids at every level
 * flavours: flat one three user user-three
 * alone: in the pid namespace of the machine its ids are set by way of ns_last_pid, a moment before
 *   they are taken
 */
#include "scenario.h"

#include <linux/sched.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEPTH = 3, THREADS = 4 };

static atomic_int started;

static void *run(void *unused)
{
	char before[SCENARIO_IDS_ROOM], after[SCENARIO_IDS_ROOM];
	pid_t tid = (pid_t)syscall(SYS_gettid);

	(void)unused;
	scenario_ids(before);
	started++;
	scenario_wait_restored();
	scenario_ids(after);
	scenario_check(!strcmp(before, after), "ids were %s, are %s", before, after);
	scenario_check(syscall(SYS_gettid) == tid, "gettid tells %ld, not %d", syscall(SYS_gettid),
		       tid);
	return NULL;
}

/* Numbers of dead tasks lie between those of the living, at each level another lot. */
static void skip_numbers(int count)
{
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();
		scenario_need(pid >= 0, "cannot fork");
		if (pid == 0)
			_exit(0);
		scenario_reap(pid);
	}
}

static void start_threads(pthread_t threads[THREADS])
{
	started = 0;
	for (int i = 0; i < THREADS; i++) {
		skip_numbers(i);
		scenario_need(pthread_create(&threads[i], NULL, run, NULL) == 0, "no thread");
	}
	while (started < THREADS)
		scenario_sleep_ms(1);
}

/* Its other threads live on; the last of them ends it. */
static int leaderless(void *data)
{
	pthread_t threads[THREADS];
	char mark[32];

	start_threads(threads);
	snprintf(mark, sizeof mark, "leaderless-%d", *(const int *)data);
	scenario_mark(mark);
	syscall(SYS_exit, 0);
	return 1;
}

static int member(void *data)
{
	pthread_t threads[THREADS];
	char mark[32];

	pid_t child = scenario_child(leaderless, data);
	start_threads(threads);
	snprintf(mark, sizeof mark, "member-%d", *(const int *)data);
	scenario_mark(mark);
	run(NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	scenario_reap(child);
	return 0;
}

/* Init of a pid namespace, in the user namespace that owns it. */
static int init(void *data)
{
	static const struct scenario_users maps[DEPTH] = {
		{ "0 0 1\n1 1 49999", "0 0 1\n1 1 49999", false },
		{ "0 0 1\n1 101 30000", "0 0 1", false },
		{ "0 0 1\n1 1 19999", "0 0 1", true },
	};
	int level = *(const int *)data + 1;
	pthread_t threads[THREADS];
	pid_t below = 0;

	skip_numbers(3 + level);
	pid_t one = scenario_child(member, &level);
	if (level < DEPTH)
		below = scenario_child_users(CLONE_NEWPID, &maps[level], init, &level);
	else
		scenario_mark("last");
	start_threads(threads);
	char mark[32];
	snprintf(mark, sizeof mark, "init-%d", level);
	scenario_mark(mark);
	run(NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	scenario_reap(one);
	if (below)
		scenario_reap(below);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct scenario_users first = { "0 0 1\n1 1 59999", "0 0 1\n1 1 59999",
						     false };
	int level = 0;

	scenario_begin(argc, argv);
	pid_t pid = scenario_child_users(CLONE_NEWPID, &first, init, &level);
	for (int i = 1; i <= DEPTH; i++) {
		char mark[32];
		snprintf(mark, sizeof mark, "member-%d", i);
		scenario_wait_mark(mark);
		snprintf(mark, sizeof mark, "leaderless-%d", i);
		scenario_wait_mark(mark);
		snprintf(mark, sizeof mark, "init-%d", i);
		scenario_wait_mark(mark);
	}

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
