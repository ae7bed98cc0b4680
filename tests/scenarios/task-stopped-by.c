// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-stopped-by
 * promise: a parent that has not waited for the stop of a child learns of it once, and which signal
 *   it was; one that has is not told again
 * flavours: flat three user user-three unprivileged
 */
#include "scenario.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct stop {
	int signal;
	bool told;
} stops[] = { { SIGSTOP, false }, { SIGTSTP, false }, { SIGTTIN, false },
	      { SIGTTOU, false }, { SIGSTOP, true },  { SIGTSTP, true } };
enum { STOPS = sizeof stops / sizeof *stops };

static int body(void *data)
{
	if (setpgid(0, 0))
		return 1;
	raise(((const struct stop *)data)->signal);
	scenario_check(scenario_is_restored(), "it went on too early");
	return 0;
}

static siginfo_t look(pid_t child, int options)
{
	siginfo_t info;

	memset(&info, 0, sizeof info);
	waitid(P_PID, (id_t)child, &info, WSTOPPED | options);
	return info;
}

int main(int argc, char **argv)
{
	pid_t children[STOPS];

	scenario_begin(argc, argv);
	for (size_t i = 0; i < STOPS; i++) {
		children[i] = scenario_child(body, (void *)&stops[i]);
		siginfo_t info = look(children[i], stops[i].told ? 0 : WNOWAIT);
		scenario_need(info.si_status == stops[i].signal, "child %zu did not stop", i);
	}

	scenario_ready();

	for (size_t i = 0; i < STOPS; i++) {
		siginfo_t info = look(children[i], WNOHANG);
		int expected = stops[i].told ? 0 : stops[i].signal;

		scenario_check(info.si_status == expected, "child %zu: signal %d, not %d", i,
			       info.si_status, expected);
		scenario_check(look(children[i], WNOHANG).si_pid == 0, "child %zu: told twice", i);
		kill(children[i], SIGCONT);
		scenario_reap(children[i]);
	}
	return scenario_end();
}
