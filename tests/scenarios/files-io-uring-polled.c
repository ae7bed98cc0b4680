// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-io-uring-polled
 * promise: an io_uring instance with a thread of the kernel's own gets one again, bound to the
 *	processor that it was bound to; that is no thread of the program
 * needs: initial-user-namespace
 * flavours: flat
 * ignore: Threads
 * arguments: anywhere bound
 */
#include "ring.h"
#include "scenario.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned threads(void)
{
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/task");
	const struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	return closedir(directory) ? 0 : count;
}

/* The last processor that we may use, if there is another one. */
static int chosen_processor(void)
{
	cpu_set_t all;
	int last = -1;

	CPU_ZERO(&all);
	if (sched_getaffinity(0, sizeof all, &all) < 0 || CPU_COUNT(&all) < 2)
		return -1;
	for (int i = 0; i < CPU_SETSIZE; i++)
		last = CPU_ISSET(i, &all) ? i : last;
	return last;
}

/* Where the kernel's thread may run: the processor if it is one, -1 if there are more. */
static int bound_to(void)
{
	DIR *directory = opendir("/proc/self/task");
	const struct dirent *entry;
	int found = -2;

	while (directory && (entry = readdir(directory))) {
		char path[300], name[32] = "";
		cpu_set_t set;
		snprintf(path, sizeof path, "/proc/self/task/%.100s/comm", entry->d_name);
		FILE *file = fopen(path, "r");
		bool is_it = file && fgets(name, sizeof name, file) &&
			     strncmp(name, "iou-sqp-", strlen("iou-sqp-")) == 0;
		if (file)
			fclose(file);
		if (!is_it || sched_getaffinity(atoi(entry->d_name), sizeof set, &set) < 0)
			continue;
		found = -1;
		for (int i = 0; CPU_COUNT(&set) == 1 && i < CPU_SETSIZE; i++)
			found = CPU_ISSET(i, &set) ? i : found;
	}
	if (directory)
		closedir(directory);
	return found;
}

int main(int argc, char **argv)
{
	struct ring ring;

	scenario_begin(argc, argv);
	int processor = strcmp(argv[2], "bound") == 0 ? chosen_processor() : -1;
	struct io_uring_params params = { .flags = IORING_SETUP_SQPOLL };
	if (processor >= 0) {
		params.flags |= IORING_SETUP_SQ_AFF;
		params.sq_thread_cpu = (uint32_t)processor;
	}
	bool there = ring_make_with(&ring, 4, &params);
	for (uint64_t i = 1; there && i < 10; i++)
		scenario_need(ring_polled_nop(&ring, i), "a request that does nothing");

	int before = bound_to();
	scenario_need(!there || processor < 0 || before == processor, "it is not bound");

	scenario_ready();

	scenario_check(bound_to() == before, "the thread was bound to %d, and is to %d", before,
		       bound_to());
	scenario_check(!there || threads() == 2, "there are %u threads", threads());
	for (uint64_t i = 1; there && i < 10; i++)
		scenario_check(ring_polled_nop(&ring, i), "it does not go on");
	return scenario_end();
}
