// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-slices
 * promise: how long a thread that shares a processor runs at a stretch is kept, of each thread;
 *	one that has never asked for anything has what the kernel gives
 * flavours: flat one three user user-three
 * rounds: 2
 */
#include "scenario.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/sched/types.h; glibc has no name for it before 2.41 */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

enum { MILLISECOND = 1000000, RESET_ON_FORK = 1 };

static const struct attributes wanted[] = {
	{ .policy = SCHED_OTHER, .runtime = 3 * MILLISECOND },
	{ .policy = SCHED_OTHER, .runtime = MILLISECOND / 10, .nice = 5 },
	{ .policy = SCHED_BATCH, .runtime = 100 * MILLISECOND },
	{ .policy = SCHED_OTHER, .runtime = 7 * MILLISECOND, .flags = RESET_ON_FORK },
	{ .policy = SCHED_OTHER },
};
enum { THREADS = sizeof wanted / sizeof wanted[0] };

static uint32_t waiting;

static struct attributes ask(void)
{
	struct attributes found = { 0 };

	scenario_check(!syscall(SYS_sched_getattr, 0, &found, sizeof found, 0), "sched_getattr: %s",
		       strerror(errno));
	return found;
}

static void *run(void *data)
{
	const struct attributes *of = data;
	struct attributes set = *of;

	set.size = sizeof set;
	if (set.runtime)
		scenario_need(!syscall(SYS_sched_setattr, 0, &set, 0), "sched_setattr: %s",
			      strerror(errno));
	struct attributes before = ask();
	__atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
	scenario_wait_restored();
	struct attributes after = ask();
	/* Before 6.12 it is 0. */
	scenario_check(!before.runtime || !of->runtime || before.runtime == of->runtime,
		       "it was %llu", (unsigned long long)before.runtime);
	scenario_check(after.runtime == before.runtime && after.policy == before.policy &&
			       after.flags == before.flags && after.nice == before.nice,
		       "thread %d: a slice of %llu, not %llu", (int)(of - wanted),
		       (unsigned long long)after.runtime, (unsigned long long)before.runtime);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	scenario_begin(argc, argv);
	for (size_t i = 0; i < THREADS; i++)
		scenario_need(!pthread_create(&threads[i], NULL, run, (void *)&wanted[i]),
			      "pthread_create");
	while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) < THREADS)
		scenario_sleep_ms(1);

	scenario_ready();

	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return scenario_end();
}
