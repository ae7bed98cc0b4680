// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-trap-handlers
 * promise: a program that handles SIGTRAP, SIGURG and nearly every other signal notices nothing
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t handled[65];

static void on_signal(int signal)
{
	handled[signal]++;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	scenario_begin(argc, argv);
	for (int signal = 1; signal <= 64; signal++)
		if (signal != SIGKILL && signal != SIGSTOP && signal != SIGWINCH && signal != 32 &&
		    signal != 33)
			sigaction(signal, &action, NULL);

	scenario_ready();

	for (int signal = 1; signal <= 64; signal++)
		scenario_check(handled[signal] == 0, "signal %d was handled %d times", signal,
			       handled[signal]);
	raise(SIGTRAP);
	raise(SIGURG);
	scenario_check(handled[SIGTRAP] == 1 && handled[SIGURG] == 1, "a handler did not run");
	return scenario_end();
}
