// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-io-uring-polled
 * promise: an io_uring instance with a thread of the kernel's own gets one again, bound to the
 *	processor that it was bound to; that is no thread of the program, and takes no number of
 *	those that are, nor the next one
 * needs: initial-user-namespace
 * flavours: flat one
 * ignore: Threads
 * arguments: anywhere bound
 */
#include "ring.h"
#include "scenario.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OTHERS = 4 };

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
static int allowed_for(const char *tid)
{
	static const char key[] = "Cpus_allowed_list:";
	char path[300], line[256];
	int first = -1, last = -1;

	snprintf(path, sizeof path, "/proc/self/task/%.100s/status", tid);
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, key, strlen(key)) == 0 &&
		    sscanf(line + strlen(key), "%d%*[-,]%d", &first, &last) == 1)
			last = first;
	if (file)
		fclose(file);
	return first == last ? first : -1;
}

static int bound_to(void)
{
	DIR *directory = opendir("/proc/self/task");
	const struct dirent *entry;
	int found = -2;

	while (directory && (entry = readdir(directory))) {
		char path[300], name[32] = "";
		snprintf(path, sizeof path, "/proc/self/task/%.100s/comm", entry->d_name);
		FILE *file = fopen(path, "r");
		bool is_it = file && fgets(name, sizeof name, file) &&
			     strncmp(name, "iou-sqp-", strlen("iou-sqp-")) == 0;
		if (file)
			fclose(file);
		if (is_it)
			found = allowed_for(entry->d_name);
	}
	if (directory)
		closedir(directory);
	return found;
}

/* They come after the kernel's, and keep their numbers. */
static bool counted;

static void *idle(void *number)
{
	*(pid_t *)number = (pid_t)syscall(SYS_gettid);
	scenario_wait_restored();
	while (!__atomic_load_n(&counted, __ATOMIC_RELAXED))
		scenario_sleep_ms(2);
	scenario_check((pid_t)syscall(SYS_gettid) == *(pid_t *)number, "another number");
	return NULL;
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

	pthread_t others[OTHERS];
	static pid_t numbers[OTHERS];
	for (int i = 0; i < OTHERS; i++)
		scenario_need(pthread_create(&others[i], NULL, idle, &numbers[i]) == 0, "threads");
	for (int i = 0; i < OTHERS; i++)
		while (!__atomic_load_n(&numbers[i], __ATOMIC_RELAXED))
			scenario_sleep_ms(2);
	int before = bound_to();
	scenario_need(!there || processor < 0 || before == processor, "it is not bound");

	scenario_ready();

	scenario_check(bound_to() == before, "the thread was bound to %d, and is to %d", before,
		       bound_to());
	scenario_check(!there || threads() == 2 + OTHERS, "there are %u threads", threads());
	__atomic_store_n(&counted, true, __ATOMIC_RELAXED);
	for (int i = 0; i < OTHERS; i++)
		pthread_join(others[i], NULL);
	pid_t child = fork();
	if (child == 0)
		_exit(0);
	/* In a namespace that others have, too, they may have been quicker. */
	scenario_check(!there || scenario_levels() < 2 || child == numbers[OTHERS - 1] + 1,
		       "the next one is %d, the last was %d", child, numbers[OTHERS - 1]);
	waitpid(child, NULL, 0);
	for (uint64_t i = 1; there && i < 10; i++)
		scenario_check(ring_polled_nop(&ring, i), "it does not go on");
	return scenario_end();
}
