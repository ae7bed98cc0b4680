// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-namespace
 * promise: a nested namespace of a kind that is not restored is refused by name, and the tree goes
 *	on
 * flavours: flat one
 * arguments: time
 * refused: unsupported-namespace
 */
#include "scenario.h"

#include <linux/sched.h>
#include <stddef.h>
#include <string.h>
#include <sched.h>

static const struct {
	const char *name;
	unsigned long long flag;
} kinds[] = {
	{ "time", CLONE_NEWTIME },
};

static unsigned long long flag_of(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return kinds[i].flag;
	scenario_need(false, "%s is no kind of namespace", name);
	return 0;
}

static int inside(void *unused)
{
	(void)unused;
	scenario_mark("inside");
	scenario_wait_restored();
	return 0;
}

/* A time namespace is entered by the next child. */
static int outside(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_NEWTIME) == 0, "cannot unshare");
	scenario_reap(scenario_child(inside, NULL));
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	scenario_need(argc == 3, "which namespace?");
	unsigned long long flag = flag_of(argv[2]);
	pid_t pid = flag == CLONE_NEWTIME ? scenario_child(outside, NULL)
					  : scenario_child_in(flag, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
