// SPDX-License-Identifier: LGPL-2.1-or-later
/* See guard.h. */
#include "kernel/guard.h"

#include "base/stop-signals.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENDED_BY_SIGNAL = 128 };

/* As it ended. */
static _Noreturn void end_as(int status)
{
	sigset_t all;

	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	signal(WTERMSIG(status), SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	kill(getpid(), WTERMSIG(status));
	_exit(ENDED_BY_SIGNAL + WTERMSIG(status));
}

static _Noreturn void stand_before(pid_t child, const sigset_t *signals)
{
	siginfo_t info;
	int status;

	for (;;) {
		int signal = sigwaitinfo(signals, &info);

		if (signal > 0 && signal != SIGCHLD)
			kill(child, signal);
		if (waitpid(child, &status, WNOHANG) == child)
			end_as(status);
	}
}

/* Nobody reaches it by our process group, and it notices when we are gone. */
static void stand_apart(pid_t front, const sigset_t *old_mask)
{
	sigset_t mask = *old_mask, asking;

	stop_signals(&asking);
	for (int signal = 1; signal < SIGRTMIN; signal++)
		if (sigismember(&asking, signal))
			sigaddset(&mask, signal);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != front)
		kill(getpid(), SIGTERM);
}

int guard_enter(struct error *err)
{
	pid_t front = getpid();
	sigset_t signals, old_mask;

	stop_signals(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, &old_mask);
	fflush(NULL); /* or both of us would write it */
	pid_t child = fork();
	if (child > 0)
		stand_before(child, &signals);
	if (child == 0) {
		stand_apart(front, &old_mask);
		return 0;
	}
	fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a process that works in our place");
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
	return -1;
}
