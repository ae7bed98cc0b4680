// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-mixed
 * promise: processes that hold any mixture of descriptors, made, passed and shared in any way, as
 *	drawn from a seed, hold the same afterwards, and share the same
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 * alone: terminal numbers are one for all
 * ignore: stat
 * arguments: 1 2 3 4 5 6 7 8 9 10 11 49
 */
#include "mixture.h"

static void live(int number, pid_t parent);

struct child {
	int number;
	uint64_t seed;
	pid_t parent;
};

static int child_main(void *data)
{
	const struct child *child = data;

	state = child->seed;
	live(child->number, child->parent);
	return 0;
}

static void live(int number, pid_t parent)
{
	struct look *before = new_look(), *after = new_look();
	pid_t children[2] = { 0 };
	char mark[32];
	int n_children = 0;

	made_by = number;
	for (int i = 0; i < STEPS / (number + 1); i++)
		step();
	for (int i = 0; i < 2; i++) {
		struct child child = { 2 * number + 1 + i, state * 7 + (unsigned)i + 1, getpid() };
		if (child.number >= PROCESSES)
			break;
		children[n_children++] = scenario_child(child_main, &child);
		snprintf(mark, sizeof mark, "made-%d", child.number);
		scenario_wait_mark(mark);
	}
	for (int i = 0; i < n_children; i++)
		if (draw(2))
			take_from(children[i]);
	snprintf(mark, sizeof mark, "made-%d", number);
	if (number)
		scenario_mark(mark);
	/* The parent takes of us, and goes on before it looks. */
	if (number)
		scenario_wait_mark("complete");
	else
		scenario_mark("complete");
	before->n = list_open(before->fds);
	scenario_sleep_ms(30);
	look_at(before, before->fds, before->n, parent);
	snprintf(mark, sizeof mark, "seen-%d", number);
	scenario_mark(mark);
	if (!number) {
		for (int i = 1; i < PROCESSES; i++) {
			snprintf(mark, sizeof mark, "seen-%d", i);
			scenario_wait_mark(mark);
		}
		scenario_ready();
	} else {
		scenario_wait_restored();
	}
	look_at(after, before->fds, before->n, parent);
	compare(before, after);
	snprintf(mark, sizeof mark, "compared-%d", number);
	scenario_mark(mark);
	/* Others still compare with us. */
	for (int i = 0; i < PROCESSES; i++) {
		snprintf(mark, sizeof mark, "compared-%d", i);
		scenario_wait_mark(mark);
	}
	for (int i = 0; i < n_children; i++)
		scenario_reap(children[i]);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	begin_drawing(argc, argv);
	live(0, 0);
	return scenario_end();
}
