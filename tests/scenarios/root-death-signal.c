// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: root-death-signal
 * promise: a root that wants a signal when its parent ends does not get it because nestor ends
 * flavours: flat fresh user-flat
 */
#include "scenario.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int death_signal = 0;

	scenario_begin(argc, argv);
	scenario_need(prctl(PR_SET_PDEATHSIG, SIGTERM) == 0, "PR_SET_PDEATHSIG");

	scenario_ready();

	scenario_check(prctl(PR_GET_PDEATHSIG, &death_signal) == 0 && death_signal == SIGTERM,
		       "the parent death signal is %d", death_signal);
	scenario_check(getppid() != 0, "there is no parent");
	return scenario_end();
}
