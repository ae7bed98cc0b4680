// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: tree-history
 * promise: the trees that random histories of forks, exits, sessions, groups, subreapers and
 *	pid namespaces leave, and with "users" user namespaces, come back as they were (HISTORY_SEED
 *	and HISTORY_COUNT choose others, HISTORY=FILE plays one that test-histories printed)
 * arguments: processes users
 * flavours: flat one three user user-three
 * options: --timeout 60
 */
#include "live.h"
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SEED = 1, COUNT = 150, FLAT_COUNT = 20, USERS_COUNT = 60, LENGTH = 28 };

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

static const struct history_weights weights_with_users = {
	.fork = 14,
	.nest = 2,
	.enter = 3,
	.setsid = 2,
	.setpgid = 2,
	.exit = 4,
	.reap = 3,
	.subreaper = 1,
	.unshare = 1,
	.stay = 1,
	.users = 4,
	.unshare_users = 2,
	.enter_users = 4,
	.drop = 1,
};

static bool with_users;

static unsigned long from_environment(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : otherwise;
}

/* False: the tree is one that a dump refuses; see docs/process-tree.md. */
static bool draw(struct history *history, unsigned long seed)
{
	/* Inside a user namespace the numbers of outer levels are the kernel's choice, known only
	 * where nobody else forks. */
	bool own_namespace = scenario_levels() == 1 || with_users || seed % 3 != 0;

	history->weights = with_users ? weights_with_users : weights;
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
	unsigned long usual = scenario_levels() == 1 ? FLAT_COUNT
			      : with_users	     ? USERS_COUNT
						     : COUNT;
	unsigned long count = from_environment("HISTORY_COUNT", usual);
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
	with_users = argc > 2 && strcmp(argv[2], "users") == 0;
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
