// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-robust-list
 * promise: a robust mutex whose holder ends after the restore is reported to the next one
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t mutex;
static uint32_t locked;

static void *run(void *data)
{
	(void)data;
	pthread_mutex_lock(&mutex);
	__atomic_store_n(&locked, 1, __ATOMIC_SEQ_CST);
	scenario_wait_restored();
	return NULL; /* without unlocking */
}

int main(int argc, char **argv)
{
	pthread_mutexattr_t attributes;
	pthread_t thread;
	void *head, *head_after;
	size_t length, length_after;

	scenario_begin(argc, argv);
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&mutex, &attributes);
	scenario_need(!pthread_create(&thread, NULL, run, NULL), "pthread_create");
	while (!__atomic_load_n(&locked, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(1);
	syscall(SYS_get_robust_list, 0, &head, &length);

	scenario_ready();

	syscall(SYS_get_robust_list, 0, &head_after, &length_after);
	scenario_check(head == head_after && length == length_after,
		       "the robust list is at %p, was at %p", head_after, head);
	int result = pthread_mutex_lock(&mutex);
	scenario_check(result == EOWNERDEAD, "locking gives %d instead of EOWNERDEAD", result);
	scenario_check(!pthread_join(thread, NULL), "the thread cannot be joined");
	return scenario_end();
}
