// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * When a thread last ran: exec_start in /proc/PID/sched, by the clock of the run queue on which it
 * was (rq_clock_task). That goes with the time in which the processor did nothing else than run
 * tasks, so it is compared with the clock that all know now, not once and for all.
 */
#include "collect/scheduler-clocks.h"

#include "base/arena.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PATH_ROOM = 64,
	TEXT_ROOM = 8192, /* of /proc/PID/sched */
	MAX_PROCESSORS = 4096,
	COMPARISONS = 4,
	MOST_TRIES = 3,
	MILLISECOND = 1000000,
	STAT_PROCESSOR = 39, /* proc_pid_stat(5) */
};

/* Who waits for a time has to begin anew without it: what is short may be there at once. */
static ssize_t read_patiently(const char *path, char *text, size_t size)
{
	for (int tries = 0;; tries++) {
		ssize_t length = procfs_read_into(AT_FDCWD, path, text, size);
		if (length >= 0 || !errno_tells_nothing(errno) || tries == MOST_TRIES)
			return length;
	}
}

/* Milliseconds with six decimals. */
bool scheduler_read(const char *path, uint64_t *ret_exec_start, uint64_t *ret_switches)
{
	char text[TEXT_ROOM], *end;
	const char *start, *switches;

	if (read_patiently(path, text, sizeof text) <= 0)
		return false;
	start = procfs_field(text, "se.exec_start");
	switches = procfs_field(text, "nr_voluntary_switches");
	if (!start || !switches || *start != ':' || *switches != ':')
		return false;
	*ret_exec_start = strtoull(start + 1, &end, 10) * MILLISECOND;
	if (*end != '.')
		return false;
	*ret_exec_start += strtoull(end + 1, NULL, 10);
	*ret_switches = strtoull(switches + 1, NULL, 10);
	return true;
}

bool scheduler_processor(pid_t tid, char state, unsigned *ret_processor)
{
	char path[PATH_ROOM], text[TEXT_ROOM], *at;

	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", tid, tid);
	if (read_patiently(path, text, sizeof text) <= 0)
		return false;
	at = strrchr(text, ')');
	if (!at || at[1] != ' ' || at[2] != state)
		return false;
	at += 2;
	for (unsigned field = 3; at && field < STAT_PROCESSOR; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		return false;
	*ret_processor = (unsigned)strtoul(at, NULL, 10);
	return *ret_processor < MAX_PROCESSORS;
}

/* What has to be added to the clock of a processor's run queue to get that of wait_clock. */
struct scheduler_clocks {
	bool known[MAX_PROCESSORS];
	int64_t difference[MAX_PROCESSORS];
};

/*
 * exec_start of whoever has just yielded is the present, but for what happens in between. Whoever
 * comes in between and takes the processor is past when exec_start is read, so the clock is asked
 * last: every difference is too large by what has passed, and the smallest is the best. One that
 * is too small would end calls before their time.
 */
static bool yield_and_compare(int64_t *ret_difference)
{
	uint64_t now, at, unused;

	*ret_difference = INT64_MAX;
	for (int i = 0; i < COMPARISONS; i++) {
		sched_yield();
		if (!scheduler_read("/proc/thread-self/sched", &at, &unused))
			return false;
		now = wait_clock();
		if ((int64_t)(now - at) < *ret_difference)
			*ret_difference = (int64_t)(now - at);
	}
	return true;
}

static bool compare_clocks(unsigned processor, int64_t *ret_difference)
{
	size_t size = CPU_ALLOC_SIZE(MAX_PROCESSORS);
	cpu_set_t *before = CPU_ALLOC(MAX_PROCESSORS), *there = CPU_ALLOC(MAX_PROCESSORS);
	bool compared = false;

	if (before && there && sched_getaffinity(0, size, before) == 0) {
		CPU_ZERO_S(size, there);
		CPU_SET_S(processor, size, there);
		if (sched_setaffinity(0, size, there) == 0) {
			compared = yield_and_compare(ret_difference);
			sched_setaffinity(0, size, before);
		}
	}
	CPU_FREE(before);
	CPU_FREE(there);
	return compared;
}

const int64_t *scheduler_clock(struct collect *collect, unsigned processor)
{
	struct scheduler_clocks *clocks = collect->scheduler_clocks;

	if (!clocks)
		clocks = collect->scheduler_clocks =
			arena_new(collect->arena, struct scheduler_clocks);
	if (!clocks->known[processor])
		clocks->known[processor] =
			compare_clocks(processor, &clocks->difference[processor]) ||
			compare_clocks(processor, &clocks->difference[processor]);
	return clocks->known[processor] ? &clocks->difference[processor] : NULL;
}
