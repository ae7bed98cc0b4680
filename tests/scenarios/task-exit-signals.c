// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-exit-signals
 * promise: the end of a child is told by the signal it was made with, or by none
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

static pid_t make_child(int number)
{
	struct clone_args arguments = { .exit_signal = (uint64_t)signals[number] };
	pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);

	scenario_need(pid >= 0, "clone3");
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

int main(int argc, char **argv)
{
	pid_t children[CHILDREN];
	sigset_t set;

	scenario_begin(argc, argv);
	sigemptyset(&set);
	for (int i = 1; i < CHILDREN; i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < CHILDREN; i++)
		children[i] = make_child(i);
	scenario_ready();
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
