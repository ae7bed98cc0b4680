// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: tree-many
 * promise: three hundred tasks come back, some of them stopped
 * flavours: flat fresh one three user user-three
 */
#include "scenario.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 300, EACH_STOPPED = 10 };

static pid_t make_child(void)
{
	pid_t parent = getpid(), pid = fork();

	scenario_need(pid >= 0, "fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		pause();
	_exit(1);
}

int main(int argc, char **argv)
{
	pid_t pids[CHILDREN];
	int status;

	scenario_begin(argc, argv);
	for (int i = 0; i < CHILDREN; i++)
		pids[i] = make_child();
	for (int i = 0; i < CHILDREN; i += EACH_STOPPED) {
		kill(pids[i], SIGSTOP);
		scenario_need(waitpid(pids[i], &status, WUNTRACED) == pids[i] && WIFSTOPPED(status),
			      "child %d does not stop", i);
	}

	scenario_ready();

	for (int i = 0; i < CHILDREN; i++) {
		siginfo_t info = { 0 };

		waitid(P_PID, (id_t)pids[i], &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT);
		scenario_check(info.si_pid == 0, "child %d has something to tell: %d", i,
			       info.si_code);
		kill(pids[i], SIGTERM);
		kill(pids[i], SIGCONT);
		scenario_check(waitpid(pids[i], &status, 0) == pids[i] && WIFSIGNALED(status) &&
				       WTERMSIG(status) == SIGTERM,
			       "child %d ended with status 0x%x", i, (unsigned)status);
	}
	return scenario_end();
}
