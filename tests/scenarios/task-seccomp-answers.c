// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-seccomp-answers
 * promise: what a filter answers with an error is asked nevertheless: alternate stack, timers,
 *   memory-deny-write-execute, dumpable, signal flags, securebits, and the word by which others
 *   wait for a thread's end
 * flavours: flat three user user-three
 * needs: seccomp-filters
 * ignore: ShdPnd
 */
#include "scenario.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif

static char stack[65536];
static volatile int on_stack, alarms, timeouts;
static uint32_t started;

static void on_signal(int signal)
{
	char here;

	on_stack = &here > stack && &here < stack + sizeof stack;
	alarms += signal == SIGALRM;
	timeouts += signal == SIGUSR2;
}

static void refuse(void)
{
	static const int calls[] = { SYS_prctl,		  SYS_sigaltstack,  SYS_getitimer,
				     SYS_timer_gettime,	  SYS_rt_sigaction, SYS_membarrier,
				     SYS_timer_getoverrun };
	enum { CALLS = sizeof calls / sizeof *calls };
	struct sock_filter filter[CALLS * 2 + 2] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	const struct sock_fprog program = { CALLS * 2 + 2, filter };

	for (unsigned i = 0; i < CALLS; i++) {
		filter[1 + 2 * i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
								 (unsigned)calls[i], 0, 1);
		filter[2 + 2 * i] =
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	}
	filter[CALLS * 2 + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	scenario_need(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
}

static void *filtered_thread(void *data)
{
	refuse();
	__atomic_store_n(&started, 1, __ATOMIC_SEQ_CST);
	scenario_wait_restored();
	return data;
}

static void set_all(void)
{
	const stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
	/* SA_NODEFER: whoever looks while a handler runs sees the same mask. */
	const struct sigaction action = { .sa_handler = on_signal,
					  .sa_flags = SA_ONSTACK | SA_RESTART | SA_NODEFER };
	const struct itimerval every = { { 0, 20000 }, { 0, 20000 } };
	const struct itimerspec often = { { 0, 20000000 }, { 0, 20000000 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	timer_t timer;

	sigaltstack(&alternate, NULL);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	scenario_need(!setitimer(ITIMER_REAL, &every, NULL), "setitimer");
	scenario_need(!timer_create(CLOCK_MONOTONIC, &event, &timer) &&
			      !timer_settime(timer, 0, &often, NULL),
		      "timer_create");
	scenario_need(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	scenario_need(!prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "dumpable");
	scenario_need(!prctl(PR_SET_MDWE, 1, 0, 0, 0), "memory-deny-write-execute");
}

int main(int argc, char **argv)
{
	pthread_t thread;
	void *page, *joined = NULL;
	struct timespec limit;

	scenario_begin(argc, argv);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	scenario_need(page != MAP_FAILED, "mmap");
	set_all();
	scenario_need(!pthread_create(&thread, NULL, filtered_thread, page), "pthread_create");
	while (!__atomic_load_n(&started, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(1);
	refuse();

	scenario_ready();

	on_stack = alarms = timeouts = 0;
	raise(SIGUSR1);
	scenario_check(on_stack, "handlers no longer run on the alternate stack");
	for (unsigned waited = 0; waited < 5000 && (!alarms || !timeouts); waited += 10)
		scenario_sleep_ms(10);
	scenario_check(alarms, "ITIMER_REAL is off");
	scenario_check(timeouts, "the POSIX timer is off");
	scenario_check(mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0,
		       "memory may become executable");
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 5;
	scenario_check(!pthread_timedjoin_np(thread, &joined, &limit) && joined == page,
		       "nobody learns that the thread ended");
	return scenario_end();
}
