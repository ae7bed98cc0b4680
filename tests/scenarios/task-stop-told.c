// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-stop-told
 * promise: of a stop that nobody has waited for the parent hears once, of another not again
 * flavours: flat three user user-three
 */
#include "scenario.h"

#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

static int stop(void *unused)
{
	(void)unused;
	raise(SIGSTOP);
	return 0;
}

static pid_t look(pid_t pid)
{
	siginfo_t info = { 0 };

	scenario_check(!waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG), "waitid");
	scenario_check(info.si_pid == 0 || info.si_status == SIGSTOP, "stopped by %d",
		       info.si_status);
	return info.si_pid;
}

static bool is_stopped(pid_t pid)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT) && info.si_pid == pid;
}

int main(int argc, char **argv)
{
	pid_t untold, told;

	scenario_begin(argc, argv);
	untold = scenario_child(stop, NULL);
	told = scenario_child(stop, NULL);
	scenario_need(is_stopped(untold) && is_stopped(told), "children do not stop");
	scenario_need(look(told) == told, "the stop cannot be waited for");
	scenario_ready();
	scenario_check(look(untold) == untold, "the stop that nobody waited for is not told");
	scenario_check(look(untold) == 0, "the stop is told twice");
	scenario_check(look(told) == 0, "the stop is told again");
	kill(untold, SIGCONT);
	kill(told, SIGCONT);
	scenario_reap(untold);
	scenario_reap(told);
	return scenario_end();
}
