// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-signal-actions
 * promise: what the program does on every signal is kept: handler, flags, mask, restorer
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIGNALS = 64 };

struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};

static volatile sig_atomic_t handled;

static void on_signal(int signal)
{
	handled = signal;
}

static void on_info(int signal, siginfo_t *info, void *context)
{
	(void)context;
	handled = signal * 1000 + info->si_value.sival_int;
}

static void read_actions(struct kernel_sigaction actions[SIGNALS + 1])
{
	memset(actions, 0, (SIGNALS + 1) * sizeof *actions);
	for (int signal = 1; signal <= SIGNALS; signal++)
		syscall(SYS_rt_sigaction, signal, NULL, &actions[signal], 8);
}

static void install(void)
{
	struct sigaction plain = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sigaction info = { .sa_sigaction = on_info,
				  .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };
	struct sigaction no_wait = { .sa_handler = SIG_DFL,
				     .sa_flags = SA_NOCLDWAIT | SA_NOCLDSTOP };
	struct sigaction once = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	sigaddset(&plain.sa_mask, SIGTERM);
	sigaddset(&plain.sa_mask, SIGRTMAX);
	sigaction(SIGUSR1, &plain, NULL);
	sigaction(SIGRTMAX, &info, NULL);
	sigaction(SIGCHLD, &no_wait, NULL);
	sigaction(SIGUSR2, &once, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

int main(int argc, char **argv)
{
	struct kernel_sigaction before[SIGNALS + 1], after[SIGNALS + 1];

	scenario_begin(argc, argv);
	install();
	read_actions(before);

	scenario_ready();

	read_actions(after);
	for (int signal = 1; signal <= SIGNALS; signal++)
		scenario_check(!memcmp(&before[signal], &after[signal], sizeof *before),
			       "the action of signal %d is handler %#lx, flags %#lx, mask %#lx; "
			       "was %#lx, %#lx, %#lx",
			       signal, after[signal].handler, after[signal].flags,
			       after[signal].mask, before[signal].handler, before[signal].flags,
			       before[signal].mask);
	raise(SIGUSR1);
	scenario_check(handled == SIGUSR1, "the handler of SIGUSR1 did not run");
	sigqueue(getpid(), SIGRTMAX, (union sigval){ .sival_int = 7 });
	scenario_check(handled == SIGRTMAX * 1000 + 7, "the handler of SIGRTMAX did not run");
	return scenario_end();
}
