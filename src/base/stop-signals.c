// SPDX-License-Identifier: LGPL-2.1-or-later
/* See stop-signals.h. */
#include "base/stop-signals.h"

#include <stddef.h>

void stop_signals(sigset_t *ret_set)
{
	static const int asking[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

	sigemptyset(ret_set);
	for (size_t i = 0; i < sizeof asking / sizeof *asking; i++)
		sigaddset(ret_set, asking[i]);
}

int stop_signal_pending(void)
{
	sigset_t asking, pending, ours;

	stop_signals(&asking);
	sigemptyset(&pending);
	sigpending(&pending);
	sigandset(&ours, &pending, &asking);
	/* Mostly: this is asked once for every task. */
	if (sigisemptyset(&ours))
		return 0;
	for (int signal = 1; signal < SIGRTMIN; signal++) {
		struct sigaction action;

		if (!sigismember(&ours, signal))
			continue;
		/* What is blocked is held back even if it is ignored (nohup). */
		sigaction(signal, NULL, &action);
		if (action.sa_handler != SIG_IGN)
			return signal;
	}
	return 0;
}
