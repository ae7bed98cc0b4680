// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-signal-masks
 * promise: every thread keeps its own signal mask
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

enum { THREADS = 3 };

static uint32_t waiting;

static void set_and_check(int number)
{
	sigset_t wanted, found;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGUSR1 + number % 2);
	sigaddset(&wanted, SIGRTMIN + number);
	scenario_need(!pthread_sigmask(SIG_SETMASK, &wanted, NULL), "pthread_sigmask");
	__atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
	if (number == 0)
		scenario_ready();
	else
		scenario_wait_restored();
	pthread_sigmask(SIG_SETMASK, NULL, &found);
	for (int signal = 1; signal <= SIGRTMAX; signal++)
		scenario_check(sigismember(&found, signal) == sigismember(&wanted, signal),
			       "thread %d: signal %d is %sblocked", number, signal,
			       sigismember(&found, signal) > 0 ? "" : "not ");
}

static void *run(void *data)
{
	set_and_check((int)(intptr_t)data);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	scenario_begin(argc, argv);
	for (intptr_t i = 0; i < THREADS; i++)
		scenario_need(!pthread_create(&threads[i], NULL, run, (void *)(i + 1)),
			      "pthread_create");
	while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) < THREADS)
		scenario_sleep_ms(1);
	set_and_check(0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return scenario_end();
}
