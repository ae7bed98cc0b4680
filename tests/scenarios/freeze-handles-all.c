// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: freeze-handles-all
 * promise: a program that handles every signal there is, in all its threads, notices nothing
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <pthread.h>
#include <signal.h>

enum { THREADS = 3 };

static volatile sig_atomic_t handled[65];
static volatile unsigned rounds[THREADS];

static void on_signal(int signal)
{
	handled[signal]++;
}

/* One computes, one sleeps, one waits in a call that a handler would end. */
static void *work(void *data)
{
	volatile unsigned *mine = data;

	do {
		++*mine;
		if (mine == &rounds[1])
			scenario_sleep_ms(1);
		else if (mine == &rounds[2])
			sched_yield();
	} while (*mine % 64 || !scenario_is_restored());
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t threads[THREADS];

	scenario_begin(argc, argv);
	for (int signal = 1; signal <= 64; signal++)
		if (signal != SIGKILL && signal != SIGSTOP && signal != 32 && signal != 33)
			scenario_need(sigaction(signal, &action, NULL) == 0, "signal %d", signal);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, (void *)&rounds[i]);
	for (int i = 0; i < THREADS; i++)
		while (!rounds[i])
			scenario_sleep_ms(1);

	scenario_ready();

	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int signal = 1; signal <= 64; signal++)
		scenario_check(handled[signal] == 0, "signal %d was handled %d times", signal,
			       handled[signal]);
	raise(SIGWINCH);
	scenario_check(handled[SIGWINCH] == 1, "a handler did not run");
	return scenario_end();
}
