// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-threads
 * promise: threads keep their ids and names, can be joined, and new ones can be made
 * flavours: flat one three user user-three unprivileged unprivileged-three ordinary
 */
#include "scenario.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 20, NAME_SIZE = 16 };

static uint32_t waiting;
static const char *const odd_names[] = { "",	      " blank",	     "a) S 1 (",
					 "new\nline", "back\\slash", "fifteen-letters" };

static void *run(void *data)
{
	size_t number = (size_t)(uintptr_t)data;
	const char *name = odd_names[number % (sizeof odd_names / sizeof *odd_names)];
	char found[NAME_SIZE] = "";

	prctl(PR_SET_NAME, name);
	pid_t tid = (pid_t)syscall(SYS_gettid);
	__atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
	scenario_wait_restored();
	prctl(PR_GET_NAME, found);
	scenario_check(!strcmp(found, name), "thread %zu is called \"%s\"", number, found);
	scenario_check(syscall(SYS_gettid) == tid, "thread %zu has another id", number);
	return (void *)(uintptr_t)(number + 1);
}

static void *run_later(void *data)
{
	return data;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS], later;
	void *result;

	scenario_begin(argc, argv);
	prctl(PR_SET_NAME, "a (name) of 15!");
	for (uintptr_t i = 0; i < THREADS; i++)
		scenario_need(!pthread_create(&threads[i], NULL, run, (void *)i), "pthread_create");
	while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) < THREADS)
		scenario_sleep_ms(1);

	scenario_ready();

	for (uintptr_t i = 0; i < THREADS; i++)
		scenario_check(!pthread_join(threads[i], &result) && result == (void *)(i + 1),
			       "thread %zu cannot be joined", i);
	scenario_check(!pthread_create(&later, NULL, run_later, argv) &&
			       !pthread_join(later, &result) && result == (void *)argv,
		       "no thread can be made");
	return scenario_end();
}
