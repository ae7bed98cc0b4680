// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: pidns-shapes
 * promise: sibling and nested pid namespaces with several tasks and threads each come back with
 *	the same ids at every level
 * flavours: flat one three user user-three unprivileged unprivileged-three
 */
#include "scenario.h"

#include <linux/sched.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { MAX_INNER = 3, MAX_MEMBERS = 3, THREADS = 2 };

struct shape {
	const char *name;
	unsigned members; /* tasks beside the init, each with threads */
	const struct shape *inner[MAX_INNER];
};

static const struct shape leaf = { "a.a.a", 1, { NULL } };
static const struct shape middle = { "a.a", 2, { &leaf } };
static const struct shape other = { "a.b", 0, { NULL } };
static const struct shape first = { "a", 3, { &middle, &other } };
static const struct shape second = { "b", 1, { NULL } };
static const struct shape third = { "c", 0, { NULL } };

static void *keep_ids(void *unused)
{
	char before[SCENARIO_IDS_ROOM], after[SCENARIO_IDS_ROOM];

	(void)unused;
	scenario_ids(before);
	scenario_wait_restored();
	scenario_ids(after);
	scenario_check(!strcmp(before, after), "ids were %s, are %s", before, after);
	return NULL;
}

static int member(void *mark)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, keep_ids, NULL);
	scenario_mark(mark);
	keep_ids(NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

static int init(void *data)
{
	const struct shape *shape = data;
	char marks[MAX_MEMBERS][32];
	pid_t pids[MAX_MEMBERS + MAX_INNER];
	unsigned n = 0;

	for (; n < shape->members; n++) {
		snprintf(marks[n], sizeof marks[n], "%s-%u", shape->name, n);
		pids[n] = scenario_child(member, marks[n]);
		scenario_wait_mark(marks[n]);
	}
	for (unsigned i = 0; i < MAX_INNER && shape->inner[i]; i++) {
		pids[n++] = scenario_child_in(CLONE_NEWPID, init, (void *)shape->inner[i]);
		scenario_wait_mark(shape->inner[i]->name);
	}
	scenario_mark(shape->name);
	keep_ids(NULL);
	while (n > 0)
		scenario_reap(pids[--n]);
	return 0;
}

int main(int argc, char **argv)
{
	const struct shape *const shapes[] = { &first, &second, &third };
	enum { SHAPES = sizeof shapes / sizeof *shapes };
	pid_t pids[SHAPES];

	scenario_begin(argc, argv);
	for (int i = 0; i < SHAPES; i++) {
		pids[i] = scenario_child_in(CLONE_NEWPID, init, (void *)shapes[i]);
		scenario_wait_mark(shapes[i]->name);
	}

	scenario_ready();

	for (int i = 0; i < SHAPES; i++)
		scenario_reap(pids[i]);
	return scenario_end();
}
