// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-syscall-dispatch
 * promise: a task whose calls are blocked at that moment by syscall user dispatch, or that has no
 *	byte that lets them pass, is refused by name and does not notice
 * flavours: flat one three user
 * arguments: blocked ranged
 * refused: unsupported-task
 * unseen: it takes ptrace to tell
 */
#include "scenario.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct shared {
	volatile char selector;
	volatile int over;
} * shared;
static volatile int hits, last;

static void count(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	shared->selector = SYSCALL_DISPATCH_FILTER_ALLOW;
	last = info->si_syscall;
	hits++;
}

/* Speaks with the runner, since the parent may be where it can make no system call. */
static int watch(void *blocked)
{
	while (blocked && shared->selector != SYSCALL_DISPATCH_FILTER_BLOCK)
		;
	scenario_ready();
	shared->over = 1;
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = count, .sa_flags = SA_SIGINFO };
	bool blocked = strcmp(argv[2], "blocked") == 0;
	pid_t child;

	scenario_begin(argc, argv);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	scenario_need(shared != MAP_FAILED, "mmap");
	sigaction(SIGSYS, &action, NULL);
	/* Without a byte: all code but what lies in the first page. */
	scenario_need(!prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, blocked ? 0L : 4096L,
			     blocked ? 0L : INT64_MAX - 4096L, blocked ? &shared->selector : NULL),
		      "PR_SET_SYSCALL_USER_DISPATCH");
	child = scenario_child(watch, blocked ? shared : NULL);
	if (blocked)
		shared->selector = SYSCALL_DISPATCH_FILTER_BLOCK;
	while (!shared->over && !hits)
		;
	shared->selector = SYSCALL_DISPATCH_FILTER_ALLOW;
	scenario_check(!hits, "SIGSYS for call %d, which was not this program's", last);
	shared->selector = SYSCALL_DISPATCH_FILTER_BLOCK;
	syscall(SYS_getppid);
	scenario_check(hits == blocked, "syscall user dispatch is off");
	scenario_reap(child);
	return scenario_end();
}
