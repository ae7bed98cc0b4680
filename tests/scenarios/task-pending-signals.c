// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-pending-signals
 * promise: signals that are queued for the process and for single threads come back, with their
 *   siginfo, in order
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint32_t stage;
static pid_t thread_id;

static void block_all(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
}

/* The next pending signal of a number; si_signo is 0 where there is none. */
static siginfo_t take(int signal)
{
	const struct timespec now = { 0 };
	siginfo_t info = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	/* Not the C library's, which makes SI_USER of SI_TKILL. */
	if (syscall(SYS_rt_sigtimedwait, &set, &info, &now, 8) < 0)
		info.si_signo = 0;
	return info;
}

static void queue_to_thread(pid_t tid, int signal, int value)
{
	siginfo_t info = { .si_signo = signal, .si_code = SI_QUEUE };

	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_int = value;
	scenario_need(!syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, signal, &info),
		      "rt_tgsigqueueinfo");
}

static void check_queued(int signal, int value)
{
	siginfo_t info = take(signal);

	scenario_check(info.si_signo == signal, "signal %d is not pending", signal);
	scenario_check(info.si_code == SI_QUEUE && info.si_value.sival_int == value,
		       "signal %d has code %d and value %d instead of %d", signal, info.si_code,
		       info.si_value.sival_int, value);
	scenario_check(info.si_pid == getpid() && info.si_uid == getuid(),
		       "signal %d comes from pid %d, uid %d", signal, (int)info.si_pid,
		       (int)info.si_uid);
}

static void *run(void *data)
{
	(void)data;
	thread_id = (pid_t)syscall(SYS_gettid);
	__atomic_store_n(&stage, 1, __ATOMIC_SEQ_CST);
	scenario_wait_restored();
	/* Its own come first, in order; SIGUSR2 was sent to this thread by tgkill. */
	check_queued(SIGRTMIN + 2, 21);
	check_queued(SIGRTMIN + 2, 22);
	siginfo_t info = take(SIGUSR2);
	scenario_check(info.si_signo == SIGUSR2 && info.si_code == SI_TKILL,
		       "SIGUSR2 of the thread has code %d", info.si_code);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	scenario_begin(argc, argv);
	block_all();
	scenario_need(!pthread_create(&thread, NULL, run, NULL), "pthread_create");
	while (!__atomic_load_n(&stage, __ATOMIC_SEQ_CST))
		scenario_sleep_ms(1);
	for (int i = 0; i < 40; i++)
		sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 100 + i });
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGTRAP);
	queue_to_thread(thread_id, SIGRTMIN + 2, 21);
	queue_to_thread(thread_id, SIGRTMIN + 2, 22);
	syscall(SYS_tgkill, getpid(), thread_id, SIGUSR2);

	scenario_ready();

	pthread_join(thread, NULL);
	for (int i = 0; i < 40; i++)
		check_queued(SIGRTMIN + 1, 100 + i);
	scenario_check(take(SIGRTMIN + 1).si_signo == 0, "there are more signals than before");
	siginfo_t info = take(SIGUSR1);
	scenario_check(info.si_signo == SIGUSR1 && info.si_code == SI_USER &&
			       info.si_pid == getpid(),
		       "SIGUSR1 has code %d, pid %d", info.si_code, (int)info.si_pid);
	scenario_check(take(SIGTRAP).si_signo == SIGTRAP, "SIGTRAP is not pending");
	scenario_check(take(SIGUSR2).si_signo == 0, "SIGUSR2 is pending for the wrong thread");
	scenario_check(take(SIGCHLD).si_signo == 0, "SIGCHLD has become pending");
	return scenario_end();
}
