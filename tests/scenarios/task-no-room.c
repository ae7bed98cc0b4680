// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-no-room
 * promise: a task at its limit of address space, or of data, is dumped; the limits stay
 * flavours: flat three user
 * arguments: as data both
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <string.h>
#include <sys/resource.h>

static void lower(int resource)
{
	struct rlimit limit;

	getrlimit(resource, &limit);
	limit.rlim_cur = 4096;
	scenario_need(!setrlimit(resource, &limit), "setrlimit");
}

static void check(int resource, const char *name)
{
	struct rlimit limit;

	getrlimit(resource, &limit);
	scenario_check(limit.rlim_cur == 4096, "the limit of %s is %lu", name,
		       (unsigned long)limit.rlim_cur);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	if (strcmp(argv[2], "data"))
		lower(RLIMIT_AS);
	if (strcmp(argv[2], "as"))
		lower(RLIMIT_DATA);
	scenario_ready();
	if (strcmp(argv[2], "data"))
		check(RLIMIT_AS, "address space");
	if (strcmp(argv[2], "as"))
		check(RLIMIT_DATA, "data");
	return scenario_end();
}
