// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-exit-signals
 * promise: the end of a child is told by the signal it was made with, or by none, and of one that
 *	is dead not once more
 * flavours: flat three user user-three
 */
#include "scenario.h"

#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const int signals[] = { 0, SIGUSR1, SIGCHLD, 40 };
enum { CHILDREN = sizeof signals / sizeof *signals };

/* Of children that are dead before: the first has been heard, the second is still pending. */
static const int told[] = { SIGUSR2, 41 };
enum { DEAD = sizeof told / sizeof *told };

static pid_t clone_telling(int signal)
{
	struct clone_args arguments = { .exit_signal = (uint64_t)signal };
	pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);

	scenario_need(pid >= 0, "clone3");
	return pid;
}

static pid_t make_child(int number)
{
	pid_t pid = clone_telling(signals[number]);

	if (pid == 0) {
		scenario_wait_restored();
		/* One after the other: those that are not queued would be one. */
		while (number > 0 && !scenario_is_marked((char[]){ (char)('a' + number), 0 }))
			scenario_sleep_ms(2);
		_exit(number);
	}
	return pid;
}

static int next_signal(const sigset_t *set)
{
	const struct timespec patience = { .tv_nsec = 300000000 };

	return sigtimedwait(set, NULL, &patience);
}

static void make_dead(pid_t dead[DEAD])
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i < DEAD; i++)
		sigaddset(&set, told[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < DEAD; i++) {
		dead[i] = clone_telling(told[i]);
		if (dead[i] == 0)
			_exit(i);
		waitid(P_PID, (id_t)dead[i], &info, WEXITED | WNOWAIT | __WALL);
	}
	sigdelset(&set, told[1]);
	scenario_need(next_signal(&set) == told[0], "the end of a child is not told");
}

static void check_dead(const pid_t dead[DEAD])
{
	const struct timespec at_once = { 0 };
	sigset_t set;
	int status;

	for (int i = 0; i < DEAD; i++) {
		scenario_check(waitpid(dead[i], &status, __WALL) == dead[i], "no zombie %d", i);
		sigemptyset(&set);
		sigaddset(&set, told[i]);
		int got = sigtimedwait(&set, NULL, &at_once);
		scenario_check(got == (i == 1 ? told[i] : -1), "signal %d is pending", got);
		scenario_check(sigtimedwait(&set, NULL, &at_once) < 0, "it is told once more");
	}
}

int main(int argc, char **argv)
{
	pid_t children[CHILDREN], dead[DEAD];
	sigset_t set;

	scenario_begin(argc, argv);
	sigemptyset(&set);
	for (int i = 1; i < CHILDREN; i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < CHILDREN; i++)
		children[i] = make_child(i);
	make_dead(dead);
	scenario_ready();
	check_dead(dead);
	for (int i = 0; i < CHILDREN; i++) {
		int status = -1, got;

		if (i > 0)
			scenario_mark((char[]){ (char)('a' + i), 0 });
		scenario_check(waitpid(children[i], &status, __WALL) == children[i] &&
				       WIFEXITED(status) && WEXITSTATUS(status) == i,
			       "child %d ended with 0x%x", i, status);
		got = next_signal(&set);
		scenario_check(got == (signals[i] ? signals[i] : -1),
			       "the end of child %d was told by signal %d", i, got);
	}
	return scenario_end();
}
