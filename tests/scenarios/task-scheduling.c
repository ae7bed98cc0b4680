// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-scheduling
 * promise: policy, priority, nice value, processors and I/O priority of each thread are kept
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct schedule {
	int policy, priority, nice, io_priority, cpu;
} schedules[] = {
	{ SCHED_OTHER, 0, 7, 2 << 13 | 3, 0 },
	{ SCHED_BATCH, 0, 3, 2 << 13 | 6, -1 },
	{ SCHED_IDLE, 0, 4, 3 << 13, -1 },
	{ SCHED_RR | SCHED_RESET_ON_FORK, 5, -5, 0, 0 },
	{ SCHED_OTHER | SCHED_RESET_ON_FORK, 0, -3, 0, -1 },
};
enum { SCHEDULES = sizeof schedules / sizeof *schedules };

static uint32_t waiting;

/* False: a lower nice value takes CAP_SYS_NICE in the initial user namespace, as other rows do. */
static bool set(const struct schedule *wanted)
{
	const struct sched_param parameters = { .sched_priority = wanted->priority };
	cpu_set_t cpus;

	if (setpriority(PRIO_PROCESS, 0, wanted->nice)) {
		scenario_need(errno == EACCES, "setpriority");
		return false;
	}
	if (wanted->io_priority)
		scenario_need(!syscall(SYS_ioprio_set, 1, 0, wanted->io_priority), "ioprio_set");
	if (wanted->cpu >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET(wanted->cpu, &cpus);
		scenario_need(!sched_setaffinity(0, sizeof cpus, &cpus), "sched_setaffinity");
	}
	scenario_need(!sched_setscheduler(0, wanted->policy, &parameters), "sched_setscheduler");
	return true;
}

static void check(int number, const struct schedule *wanted, const cpu_set_t *cpus_before)
{
	struct sched_param parameters;
	cpu_set_t cpus;
	int policy = sched_getscheduler(0);

	sched_getparam(0, &parameters);
	scenario_check(policy == wanted->policy && parameters.sched_priority == wanted->priority,
		       "thread %d has policy %#x, priority %d", number, policy,
		       parameters.sched_priority);
	errno = 0;
	int nice_value = getpriority(PRIO_PROCESS, 0);
	scenario_check(nice_value == wanted->nice, "thread %d has nice value %d", number,
		       nice_value);
	sched_getaffinity(0, sizeof cpus, &cpus);
	scenario_check(CPU_EQUAL(&cpus, cpus_before), "thread %d runs on other processors", number);
	long io_priority = syscall(SYS_ioprio_get, 1, 0);
	scenario_check(!wanted->io_priority || io_priority == wanted->io_priority,
		       "thread %d has I/O priority %#lx", number, io_priority);
}

static void *run(void *data)
{
	int number = (int)(intptr_t)data;
	cpu_set_t cpus;

	bool is_set = set(&schedules[number]);
	sched_getaffinity(0, sizeof cpus, &cpus);
	__atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
	scenario_wait_restored();
	if (is_set)
		check(number, &schedules[number], &cpus);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[SCHEDULES];

	scenario_begin(argc, argv);
	for (intptr_t i = 0; i < SCHEDULES; i++)
		scenario_need(!pthread_create(&threads[i], NULL, run, (void *)i), "pthread_create");
	while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) < SCHEDULES)
		scenario_sleep_ms(1);

	scenario_ready();

	for (size_t i = 0; i < SCHEDULES; i++)
		pthread_join(threads[i], NULL);
	return scenario_end();
}
