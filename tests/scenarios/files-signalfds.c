// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-signalfds
 * promise: signalfds keep their masks, read signals that were pending, and those that come
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct signalfd_siginfo info;
	sigset_t one, both;

	scenario_begin(argc, argv);
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	both = one;
	sigaddset(&both, SIGRTMIN + 9);
	sigprocmask(SIG_BLOCK, &both, NULL);
	int first = signalfd(-1, &one, SFD_NONBLOCK | SFD_CLOEXEC);
	int second = signalfd(-1, &both, SFD_NONBLOCK);
	sigqueue(getpid(), SIGRTMIN + 9, (union sigval){ .sival_int = 77 });

	scenario_ready();

	scenario_check(fcntl(first, F_GETFL) & O_NONBLOCK && fcntl(first, F_GETFD) == FD_CLOEXEC,
		       "flags");
	scenario_check(read(first, &info, sizeof info) == -1 && errno == EAGAIN,
		       "the first reads what is not its own");
	scenario_check(read(second, &info, sizeof info) == sizeof info &&
			       info.ssi_signo == (unsigned)SIGRTMIN + 9 && info.ssi_int == 77,
		       "the signal that was pending");
	kill(getpid(), SIGUSR1);
	scenario_check(read(first, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR1,
		       "a signal that comes");
	return scenario_end();
}
