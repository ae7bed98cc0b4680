// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: tree-history
 * promise: the trees that random histories of forks, exits, sessions, groups, subreapers and
 *	namespaces leave come back as they were (HISTORY_SEED and HISTORY_COUNT choose others,
 *	HISTORY=FILE plays one that test-histories printed)
 * flavours: flat one three
 */
#include "live.h"
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIRST_SEED = 1, COUNT = 150, FLAT_COUNT = 20, LENGTH = 28 };

static const struct history_weights weights = {
	.fork = 14,
	.nest = 2,
	.enter = 3,
	.sibling = 1,
	.setsid = 3,
	.setpgid = 4,
	.move_child = 2,
	.exit = 6,
	.reap = 3,
	.subreaper = 1,
	.unshare = 1,
	.stay = 1,
};

static unsigned long from_environment(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : otherwise;
}

/* False: the tree is one that a dump refuses; see docs/process-tree.md. */
static bool draw(struct history *history, unsigned long seed)
{
	bool own_namespace = scenario_levels() == 1 || seed % 3 != 0;

	history->weights = weights;
	history->max_tasks = 12;
	history->max_levels = 5;
	history_make(history, seed, own_namespace, LENGTH);
	return history_is_at_rest(history) && history_is_whole(history);
}

static void play_file(const char *path)
{
	FILE *file = fopen(path, "re");
	struct history *history = live_history(true);

	scenario_need(file && history_read(history, file), "cannot read %s", path);
	fclose(file);
	live_play(path);
}

static void play_random(void)
{
	unsigned long seed = from_environment("HISTORY_SEED", FIRST_SEED);
	unsigned long count =
		from_environment("HISTORY_COUNT", scenario_levels() == 1 ? FLAT_COUNT : COUNT);
	unsigned n_tasks = 0;
	char name[32];

	for (unsigned long made = 0; made < count; seed++) {
		if (!draw(live_history(true), seed))
			continue;
		snprintf(name, sizeof name, "seed %lu", seed);
		n_tasks += live_play(name);
		made++;
	}
	scenario_note("%lu histories, %u processes", count, n_tasks);
}

int main(int argc, char **argv)
{
	const char *path = getenv("HISTORY");

	scenario_begin(argc, argv);
	live_begin();
	if (path)
		play_file(path);
	else
		play_random();
	live_ready();
	scenario_ready();
	live_check();
	return scenario_end();
}
