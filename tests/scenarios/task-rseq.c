// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-rseq
 * promise: restartable sequences stay registered in every thread
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint32_t waiting;

static void check(const char *who)
{
	struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);

	if (__rseq_size == 0)
		return; /* this C library does not register */
	/* Registering what is registered gives EBUSY. */
	long result = syscall(SYS_rseq, area, 32, 0, RSEQ_SIG);
	scenario_check(result < 0 && errno == EBUSY, "rseq of %s gives %ld, errno %d", who, result,
		       errno);
	unsigned cpu = __atomic_load_n(&area->cpu_id, __ATOMIC_RELAXED);
	scenario_check(cpu < (unsigned)sysconf(_SC_NPROCESSORS_CONF), "%s is on processor %u", who,
		       cpu);
	scenario_check(sched_getcpu() >= 0, "sched_getcpu fails for %s", who);
}

static void *run(void *data)
{
	(void)data;
	check("the thread, before");
	__atomic_store_n(&waiting, 1, __ATOMIC_SEQ_CST);
	scenario_wait_restored();
	check("the thread");
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	scenario_begin(argc, argv);
	check("the first thread, before");
	scenario_need(!pthread_create(&thread, NULL, run, NULL), "pthread_create");
	while (!__atomic_load_n(&waiting, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(1);

	scenario_ready();

	pthread_join(thread, NULL);
	check("the first thread");
	return scenario_end();
}
