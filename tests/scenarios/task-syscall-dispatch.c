// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-syscall-dispatch
 * promise: threads have their system calls dispatched as before (syscall user dispatch), each by a
 *   byte of its own, but for those of the code that is let pass; others have not
 * flavours: flat three user user-three
 */
#include "scenario.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* mov $nr, %eax; syscall; ret */
static const uint8_t code[] = { 0xb8, SYS_getppid, 0, 0, 0, 0x0f, 0x05, 0xc3 };

static _Thread_local volatile char selector;
static _Thread_local volatile int hits;
static int (*passes)(void);

/* Returning would be a call that is blocked. */
static void count(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	(void)info;
	selector = SYSCALL_DISPATCH_FILTER_ALLOW;
	hits++;
}

static void begin(uint64_t offset, uint64_t length)
{
	scenario_need(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, offset, length,
			    &selector) == 0,
		      "PR_SET_SYSCALL_USER_DISPATCH");
}

static int try_both(void)
{
	int passed;

	hits = 0;
	selector = SYSCALL_DISPATCH_FILTER_BLOCK;
	passed = passes();
	int before = hits;
	selector = SYSCALL_DISPATCH_FILTER_BLOCK;
	syscall(SYS_getppid);
	selector = SYSCALL_DISPATCH_FILTER_ALLOW;
	return passed > 0 && before == 0 ? hits : -hits;
}

static void *second(void *unused)
{
	begin(0, 0);
	scenario_mark("second");
	scenario_wait_restored();
	/* Nothing of it passes: the call of the code is one more. */
	scenario_check(try_both() == -2, "the second thread: %d", hits);
	return unused;
}

static void *third(void *unused)
{
	scenario_mark("third");
	scenario_wait_restored();
	try_both();
	scenario_check(hits == 0, "the third thread has none, and had %d calls dispatched", hits);
	return unused;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = count, .sa_flags = SA_SIGINFO };
	pthread_t threads[2];
	uint8_t *page;

	scenario_begin(argc, argv);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	scenario_need(page != MAP_FAILED, "mmap");
	memcpy(page, code, sizeof code);
	mprotect(page, 4096, PROT_READ | PROT_EXEC);
	passes = (int (*)(void))(uintptr_t)page;
	sigaction(SIGSYS, &action, NULL);
	pthread_create(&threads[0], NULL, second, NULL);
	pthread_create(&threads[1], NULL, third, NULL);
	scenario_wait_mark("second");
	scenario_wait_mark("third");
	begin((uint64_t)page, 4096);
	scenario_need(try_both() == 1, "it does not work: %d", hits);
	scenario_ready();
	scenario_check(try_both() == 1, "the first thread: %d", hits);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	return scenario_end();
}
