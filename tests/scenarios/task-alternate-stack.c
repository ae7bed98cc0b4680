// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-alternate-stack
 * promise: alternate signal stacks are kept, also one that is in use and SS_AUTODISARM
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

enum { SIZE = 65536 };

static char main_stack[SIZE], disarming_stack[SIZE], used_stack[SIZE];
static uint32_t ready_threads;
static __thread uintptr_t handler_ran_at;

static void set_stack(void *memory, unsigned flags)
{
	stack_t stack = { .ss_sp = memory, .ss_size = SIZE, .ss_flags = (int)flags };

	scenario_need(!sigaltstack(&stack, NULL), "sigaltstack");
}

static void check_stack(const char *who, const void *memory, unsigned flags)
{
	stack_t stack;

	sigaltstack(NULL, &stack);
	scenario_check(stack.ss_sp == memory && stack.ss_size == SIZE &&
			       (unsigned)stack.ss_flags == flags,
		       "%s has stack %p, size %zu, flags %#x", who, stack.ss_sp, stack.ss_size,
		       (unsigned)stack.ss_flags);
}

static void on_signal(int signal)
{
	char here;

	(void)signal;
	handler_ran_at = (uintptr_t)&here;
}

static void on_wait(int signal)
{
	(void)signal;
	__atomic_add_fetch(&ready_threads, 1, __ATOMIC_SEQ_CST);
	scenario_wait_restored();
	check_stack("the thread inside its handler", used_stack, SS_ONSTACK);
}

static void check_handler(const char *who, const char *memory)
{
	pthread_kill(pthread_self(), SIGUSR1);
	scenario_check(handler_ran_at >= (uintptr_t)memory &&
			       handler_ran_at < (uintptr_t)memory + SIZE,
		       "the handler of %s ran on another stack", who);
}

static void *run_disarming(void *data)
{
	(void)data;
	set_stack(disarming_stack, SS_AUTODISARM);
	__atomic_add_fetch(&ready_threads, 1, __ATOMIC_SEQ_CST);
	scenario_wait_restored();
	check_stack("the thread with SS_AUTODISARM", disarming_stack, SS_AUTODISARM);
	check_handler("the thread with SS_AUTODISARM", disarming_stack);
	check_stack("the thread with SS_AUTODISARM", disarming_stack, SS_AUTODISARM);
	return NULL;
}

static void *run_used(void *data)
{
	(void)data;
	set_stack(used_stack, 0);
	pthread_kill(pthread_self(), SIGUSR2);
	check_stack("the thread after its handler", used_stack, 0);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	struct sigaction waiting = { .sa_handler = on_wait, .sa_flags = SA_ONSTACK };
	pthread_t disarming, used;

	scenario_begin(argc, argv);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &waiting, NULL);
	set_stack(main_stack, 0);
	scenario_need(!pthread_create(&disarming, NULL, run_disarming, NULL), "pthread_create");
	scenario_need(!pthread_create(&used, NULL, run_used, NULL), "pthread_create");
	while (__atomic_load_n(&ready_threads, __ATOMIC_SEQ_CST) < 2)
		scenario_sleep_ms(1);

	scenario_ready();

	pthread_join(disarming, NULL);
	pthread_join(used, NULL);
	check_stack("the first thread", main_stack, 0);
	check_handler("the first thread", main_stack);
	return scenario_end();
}
