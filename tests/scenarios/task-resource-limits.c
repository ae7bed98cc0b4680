// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-resource-limits
 * promise: resource limits are kept, soft and hard ones
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

enum { LIMITS = 16 };

static void lower(__rlimit_resource_t resource, rlim_t soft, rlim_t hard)
{
	struct rlimit limit;

	getrlimit(resource, &limit);
	limit.rlim_cur = soft < limit.rlim_cur ? soft : limit.rlim_cur;
	limit.rlim_max = hard < limit.rlim_max ? hard : limit.rlim_max;
	scenario_need(!setrlimit(resource, &limit), "setrlimit(%d)", (int)resource);
}

static void read_all(struct rlimit limits[LIMITS])
{
	for (int i = 0; i < LIMITS; i++)
		getrlimit((__rlimit_resource_t)i, &limits[i]);
}

int main(int argc, char **argv)
{
	struct rlimit before[LIMITS], after[LIMITS];

	scenario_begin(argc, argv);
	lower(RLIMIT_CORE, 0, 4096);
	lower(RLIMIT_NOFILE, 77, 512);
	lower(RLIMIT_CPU, 3600, 7200);
	lower(RLIMIT_FSIZE, (rlim_t)1 << 40, RLIM_INFINITY);
	lower(RLIMIT_STACK, 4 << 20, RLIM_INFINITY);
	lower(RLIMIT_AS, (rlim_t)1 << 40, (rlim_t)1 << 45);
	lower(RLIMIT_MSGQUEUE, 1000, 2000);
	read_all(before);

	scenario_ready();

	read_all(after);
	for (int i = 0; i < LIMITS; i++)
		scenario_check(!memcmp(&before[i], &after[i], sizeof before[i]),
			       "limit %d is %ju/%ju, was %ju/%ju", i, (uintmax_t)after[i].rlim_cur,
			       (uintmax_t)after[i].rlim_max, (uintmax_t)before[i].rlim_cur,
			       (uintmax_t)before[i].rlim_max);
	return scenario_end();
}
